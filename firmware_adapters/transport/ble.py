"""Bluetooth LE by bleak: finds a device, connects, reads what is read once, subscribes, and notices a link that is up and dead.

A new link begins from nothing, because no subscription outlives a connection. BlueZ calls a link connected for ever when the device has
gone without a word; the age of the data, and a limit on every request, are what finds that.
"""

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from firmware_adapters.adapter import Chunk, ConfigError, LinkError
from firmware_adapters.commanding import NotTakenError

if TYPE_CHECKING:
    from bleak.backends.characteristic import BleakGATTCharacteristic
    from bleak.backends.device import BLEDevice

_T = TypeVar("_T")

SCHEME = "ble:"
SCAN_S = 10.0
REQUEST_S = 5.0  # for one read, write or subscription
CONNECT_S = 15.0
QUEUE = 1024  # values: minutes of a strap; a reader that far behind has stopped
_LOOK_S = 2.5  # one scan; BlueZ lets a program scan once at a time, and other devices want their turn
_TURN_S = (0.2, 0.4)
_ADDRESS = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", re.IGNORECASE)

# What bleak lets through: its own, the bus's end (EOFError), timeouts and broken sockets (both OSError).
_ERRORS = (BleakError, OSError, EOFError)


@dataclass(frozen=True, slots=True)
class GattPlan:
    """What to do with a device of a family, by the UUIDs of its characteristics.

    `read` and `optional_notify` are passed over where a device has not got them; a missing one of `notify` is an error, and a device
    that has none of `one_of`. `commands` is where `send` writes, and `start` is written there once all is subscribed. Without a value
    of `watched` that begins with `watched_begin` for `stale_s`, the link counts as dead; 0 for a device that measures now and then.
    """

    notify: tuple[str, ...]
    watched: tuple[str, ...]
    stale_s: float
    watched_begin: bytes = b""
    read: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    optional_notify: tuple[str, ...] = ()
    commands: str = ""
    start: tuple[bytes, ...] = ()


def target(device: str, url: str) -> str:
    """The address or name in `ble:ADDRESS` or `ble:NAME`; ConfigError for another url."""
    name = url.removeprefix(SCHEME).strip()
    if not url.startswith(SCHEME) or not name:
        msg = (
            f"device {device}: url = {url!r}: expected ble: and the device's address or name, as ble:A0:9E:1A:00:00:01"
        )
        raise ConfigError(msg)
    return name


class BleLink:
    """A connected device."""

    def __init__(self, url: str, client: BleakClient, plan: GattPlan) -> None:
        """Made by BleTransport."""
        self._url, self._client, self._plan = url, client, plan
        self._values: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._lost = ""
        self._fresh_s = time.monotonic()

    async def receive(self) -> Chunk:
        """The next value with its characteristic; LinkError when the device has gone, or says nothing any more."""
        while not self._values:
            left_s = self._fresh_s + self._plan.stale_s - time.monotonic() if self._plan.stale_s else None
            if left_s is not None and left_s <= 0:
                self.lost(
                    f"the link is up but brought no data for {self._plan.stale_s:.0f} s; is the device worn and charged?"
                )
            if self._lost:
                msg = f"{self._url}: {self._lost}"
                raise LinkError(msg)
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._news.wait()
        return self._values.popleft()

    async def send(self, data: bytes) -> None:
        """Write a command to the plan's characteristic and wait until the device has it."""
        await self._ask(
            "a command was not taken", lambda: self._client.write_gatt_char(self._plan.commands, data, response=True)
        )

    async def write(self, channel: str, data: bytes) -> None:
        """Write a characteristic and wait until the device has it."""
        await self._request(
            f"{channel} cannot be written", lambda: self._client.write_gatt_char(channel, data, response=True)
        )

    async def read(self, channel: str) -> bytes:
        """The value of a characteristic."""
        return bytes(await self._request(f"{channel} cannot be read", lambda: self._client.read_gatt_char(channel)))

    async def begin(self) -> None:
        """Read once, subscribe, start."""
        has = {c.uuid for service in self._client.services for c in service.characteristics}
        if absent := [uuid for uuid in self._plan.notify if uuid not in has]:
            msg = f"{self._url}: the device has no characteristic {', '.join(absent)}; is it of this family?"
            raise LinkError(msg)
        if self._plan.one_of and not has.intersection(self._plan.one_of):
            msg = f"{self._url}: the device has none of {', '.join(self._plan.one_of)}; is it of this family?"
            raise LinkError(msg)
        for uuid in self._plan.read:
            if uuid in has:
                await self._read(uuid)
        optional = (u for u in (*self._plan.one_of, *self._plan.optional_notify) if u in has)
        for uuid in (*self._plan.notify, *optional):
            await self._subscribe(uuid)
        for command in self._plan.start:
            await self.send(command)
        self._fresh_s = time.monotonic()

    def lost(self, why: str) -> None:
        """No more will come; what came is still given out."""
        self._lost = self._lost or why
        self._news.set()

    async def _read(self, uuid: str) -> None:
        value = await self._ask(f"{uuid} cannot be read", lambda: self._client.read_gatt_char(uuid))
        self._put(Chunk(bytes(value), uuid))

    async def _subscribe(self, uuid: str) -> None:
        def notified(_sender: "BleakGATTCharacteristic", value: bytearray) -> None:
            if uuid in self._plan.watched and value.startswith(self._plan.watched_begin):
                self._fresh_s = time.monotonic()
            self._put(Chunk(bytes(value), uuid))

        await self._ask(f"{uuid} cannot be subscribed", lambda: self._client.start_notify(uuid, notified))

    async def _ask(self, failed: str, request: Callable[[], Awaitable[_T]]) -> _T:
        try:
            # a request on a dead link is never answered
            async with asyncio.timeout(REQUEST_S):
                return await request()
        except TimeoutError as error:
            msg = f"{self._url}: {failed}: no answer in {REQUEST_S:.0f} s"
            raise LinkError(msg) from error
        except _ERRORS as error:
            msg = f"{self._url}: {failed}: {error}"
            raise LinkError(msg) from error

    async def _request(self, failed: str, request: Callable[[], Awaitable[_T]]) -> _T:
        """Ask a device that may refuse: NotTakenError while it is still connected."""
        try:
            return await self._ask(failed, request)
        except LinkError as error:
            if isinstance(error.__cause__, BleakError) and self._client.is_connected and not self._lost:
                raise NotTakenError(str(error)) from error
            raise

    def _put(self, chunk: Chunk) -> None:
        if len(self._values) >= QUEUE:
            self.lost(f"{QUEUE} values lie unread; the reader has stopped")
            return
        self._values.append(chunk)
        self._news.set()


class BleTransport:
    """A Bluetooth LE device by address or name."""

    def __init__(self, device: str, url: str, plan: GattPlan, *, scan_s: float = SCAN_S) -> None:
        """ConfigError for a url that is none of `ble:`. `scan_s`: how long the device is looked for."""
        self._url, self._plan, self._target = url, plan, target(device, url)
        self._scan_s = scan_s

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[BleLink]:
        """Find, connect and subscribe; disconnected at the end."""
        found = await self._find()

        def gone(_client: BleakClient) -> None:
            link.lost("the device has disconnected")

        client = BleakClient(found, disconnected_callback=gone, timeout=CONNECT_S)
        link = BleLink(self._url, client, self._plan)
        try:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await client.connect()
            except _ERRORS as error:
                msg = f"{self._url}: the device was found and cannot be connected: {error or 'no answer'}"
                raise LinkError(msg) from error
            await link.begin()
            yield link
        finally:
            # a dead link does not answer this either, and is forgotten all the same
            with suppress(*_ERRORS):
                async with asyncio.timeout(REQUEST_S):
                    await client.disconnect()

    async def _find(self) -> "BLEDevice":
        """Look for the device in turns, so that several devices of a gateway find theirs at the same time."""
        until_s = time.monotonic() + self._scan_s
        while time.monotonic() < until_s:
            try:
                if found := await self._look(min(_LOOK_S, self._scan_s)):
                    return found
            except _ERRORS as error:
                if "InProgress" not in str(error):
                    msg = f"{self._url}: this machine cannot scan for Bluetooth devices: {error}"
                    raise LinkError(msg) from error
            await asyncio.sleep(random.uniform(*_TURN_S))
        msg = (
            f"{self._url}: not heard in {self._scan_s:.0f} s; is the device on, worn, near, and joined to nothing else?"
        )
        raise LinkError(msg)

    async def _look(self, look_s: float) -> "BLEDevice | None":
        if _ADDRESS.fullmatch(self._target):
            return await BleakScanner.find_device_by_address(self._target.upper(), timeout=look_s)
        return await BleakScanner.find_device_by_name(self._target, timeout=look_s)
