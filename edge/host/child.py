"""What runs in a host process: one device's adapter from its link to its decoder, or one door; what comes leaves by the socket of the agent.

Its event loop tells that it goes round. Everything else (screening, numbering behind a crash, silence, opening anew) is the agent's.
"""

import asyncio
import socket
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from edge.exchange import Exchanging
from edge.host import wire
from edge.host.commanding import offers_as_text, result_as_json
from edge.host.door_child import HostedDoorEnd
from edge.host.wire import BEAT_EVERY_S, HEAD, Kind
from firmware_adapters.adapter import Adapter, ConfigError, Decoder, DeviceConfig, Link, LinkError, OptionValue, Resume
from firmware_adapters.commanding import Commanded
from firmware_adapters.door import DoorError
from firmware_adapters.registry import find_adapter
from protocols.device_command import Outcome, Reason, RefusedError, Result, Value
from protocols.errors import Fault
from protocols.record import Record, SourcePath

FRAMES_SHOWN = 6
_FAILED = 70  # EX_SOFTWARE of sysexits.h


async def serve(link: socket.socket) -> int:
    """Serve the agent at the other end; the exit status."""
    reader, writer = await asyncio.open_unix_connection(sock=link)
    return await _Host(reader, writer).run()


class _Host:
    """One device."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._offset_ns = 0
        self._link: Link | None = None
        self._exchanging: Exchanging | None = None
        self._session: asyncio.Task[None] | None = None
        self._commanding: asyncio.Task[None] | None = None
        self._door: HostedDoorEnd | None = None
        self._adapter: Adapter
        self._config: DeviceConfig
        self._decoder: Decoder

    async def run(self) -> int:
        """The exit status. Whatever foreign code raises is told to the agent by name."""
        beats = asyncio.create_task(self._beat())
        serving = asyncio.create_task(self._serve())
        await asyncio.wait((serving,))
        beats.cancel()
        match serving.exception():
            case None | ConnectionError() | asyncio.IncompleteReadError():
                return 0  # the agent has gone
            case ConfigError() as error:
                await self._send(wire.told(Kind.REFUSED, text=str(error)))
                return 0
            case error:
                told = wire.told(Kind.FAILED, error=type(error).__name__, text=str(error), where=_frames(error))
                await self._send(told)
                return _FAILED

    async def _serve(self) -> None:
        while command := await self._command():
            await self._do(*command)

    async def _command(self) -> tuple[Kind, bytes] | None:
        """The next command; None at the agent's end. A session, or a command to the device, that failed is raised meanwhile."""
        reading = asyncio.ensure_future(self._read())
        while True:
            waited = {task for task in (reading, self._session, self._commanding) if task is not None}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._commanding is None or not self._commanding.done():
                break
            done, self._commanding = self._commanding, None
            done.result()
        if self._session is not None and self._session.done():
            ended, self._session = self._session, None
            if not ended.cancelled():
                ended.result()
        return await reading

    async def _read(self) -> tuple[Kind, bytes] | None:
        try:
            size, kind = HEAD.unpack(await self._reader.readexactly(HEAD.size))
            return Kind(kind), await self._reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return None

    async def _do(self, kind: Kind, body: bytes) -> None:
        match kind:
            case Kind.BEGIN:
                await self._begin(wire.object_of(body))
            case Kind.BEGIN_DOOR:
                await self._begin_door(wire.object_of(body))
            case Kind.REPLY if self._door is not None:
                self._door.replied(body)
            case Kind.CLOCK:
                self._offset_ns = int(str(wire.object_of(body)["offset_ns"]))
            case Kind.OPEN:
                await self._end_session()
                number = int(str(wire.object_of(body)["session"]))
                self._session = asyncio.create_task(self._keep(number))
            case Kind.WAKE:
                await self._wake()
            case Kind.COMMAND if self._commanding is None:
                self._commanding = asyncio.create_task(self._perform(wire.object_of(body)))
            case Kind.COMMAND:  # the agent gave the one before up, which may go on here until its patience ends
                busy = Result(Outcome.REFUSED, Reason.BUSY)
                await self._send(wire.told(Kind.COMMANDED, **result_as_json(wire.object_of(body)["number"], busy)))
            case Kind.CLOSE:
                await self._end_session()
            case _:
                pass

    async def _begin(self, told: wire.Json) -> None:
        self._offset_ns = int(str(told["offset_ns"]))
        options = cast("Mapping[str, OptionValue]", told["options"])
        self._config = DeviceConfig(str(told["device"]), str(told["family"]), str(told["url"]), options)
        self._adapter = find_adapter(self._config.family)
        self._adapter.check(self._config)
        ends = cast("Mapping[str, tuple[int, int]]", told["resume"])
        resume = {SourcePath.parse(source): Resume(*end) for source, end in ends.items()}
        self._decoder = self._adapter.decoder(self._config, resume)
        family = self._adapter.family
        await self._send(
            wire.told(
                Kind.READY,
                maker=family.maker,
                model=family.model,
                door=family.door,
                silence_ns=self._adapter.silence_ns,
                commands=offers_as_text(self._adapter.commands(self._config))
                if isinstance(self._adapter, Commanded)
                else [],
            )
        )

    async def _begin_door(self, told: wire.Json) -> None:
        self._offset_ns = int(str(told["offset_ns"]))
        self._door = HostedDoorEnd(told, self._send, self._now_ns)
        await self._send(wire.told(Kind.READY))
        self._session = asyncio.create_task(self._serve_door(self._door))

    async def _serve_door(self, door: HostedDoorEnd) -> None:
        try:
            await door.serve()
        except DoorError as error:
            await self._send(wire.told(Kind.LOST, text=str(error)))

    async def _keep(self, number: int) -> None:
        """One link, until it is lost or closed."""
        try:
            async with self._adapter.transport(self._config).open() as link:
                self._link = link
                self._exchanging = exchanging = Exchanging(link)
                await self._send(wire.told(Kind.OPENED, session=number))
                try:
                    while True:
                        chunk = await link.receive()
                        exchanging.heard(chunk.data, chunk.channel)
                        await self._hand(self._decoder.feed(chunk.data, self._now_ns(), chunk.channel))
                finally:
                    self._link = self._exchanging = None
                    exchanging.lost()
                    await self._hand(self._decoder.flush(self._now_ns()))
        except LinkError as error:
            await self._send(wire.told(Kind.LOST, session=number, text=str(error)))

    async def _wake(self) -> None:
        link = self._link
        if link is None:
            return
        await self._hand(self._decoder.flush(self._now_ns()))
        try:
            for command in self._adapter.wake(self._config):
                await link.send(command)
        except LinkError:
            return  # the session that reads from the same link tells it

    async def _perform(self, told: wire.Json) -> None:
        """Tell the device something. What the link's end cuts off is told by the session."""
        code, values = str(told["code"]), cast("Mapping[str, Value]", told["values"])
        exchanging, adapter = self._exchanging, self._adapter
        if exchanging is None or not isinstance(adapter, Commanded):
            return
        interrupts = any(one.code == code and one.interrupts for one in adapter.commands(self._config))
        try:
            exchange = adapter.command(self._config, code, values)
            result = await exchanging.play(
                exchange, only_read=told["only_read"] is True, quiet=self._paused if interrupts else None
            )
        except RefusedError as refused:
            result = refused.result
        except LinkError:
            return
        await self._send(wire.told(Kind.COMMANDED, **result_as_json(told["number"], result)))

    def _paused(self) -> None:
        """What is measured from now on does not join what was."""
        for one in wire.frames_of(self._config.device, self._decoder.flush(self._now_ns())):
            self._writer.write(one)

    async def _end_session(self) -> None:
        if self._session is not None:
            self._session.cancel()
            await asyncio.wait((self._session,))
            self._session = None

    async def _hand(self, decoded: Iterable[Record | Fault]) -> None:
        for one in wire.frames_of(self._config.device, decoded):
            await self._send(one)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _beat(self) -> None:
        while True:
            self._writer.write(wire.frame(Kind.BEAT))
            await self._writer.drain()
            await asyncio.sleep(BEAT_EVERY_S)

    def _now_ns(self) -> int:
        """The gateway's clock, as the agent last told it: both processes have one monotonic clock."""
        return time.monotonic_ns() + self._offset_ns


def _frames(error: BaseException) -> list[str]:
    """Where it was raised, innermost first."""
    found = traceback.extract_tb(error.__traceback__)
    return [f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in reversed(found[-FRAMES_SHOWN:])]
