"""Does what the hub wants of devices, each command once, and says what became of it.

A command is checked against what the adapter offers, waits for its device while it has time, is written down, done and read back. What was begun
when the agent or the link ended is never done again: the device is asked what holds, and says so or does not.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from uuid import UUID

import structlog

from edge.device_commands.ledger import CommandLedger, Entry
from edge.health.metrics import DEVICE_COMMANDS
from edge.pipeline.queues import QUEUES
from firmware_adapters.adapter import LinkError
from protocols.device_command import (
    MAX_DETAILS,
    Command,
    Outcome,
    Reason,
    RefusedError,
    Result,
    Value,
    offer_message,
)
from protocols.errors import DecodeError
from protocols.uplink_pb2 import (
    COMMAND_OUTCOME_CONFIRMED,
    COMMAND_OUTCOME_EXPIRED,
    COMMAND_OUTCOME_REFUSED,
    COMMAND_OUTCOME_UNCONFIRMED,
    CommandsOffered,
    DeviceCommand,
    DeviceCommandAnswer,
    DeviceOffer,
    GatewayMessage,
)
from protocols.wire import decode_params, encode_params

READ_BACK_S = 30.0  # for a device that is away after its command
_LOOK_S = 0.05
_OFFER_EVERY_S = 1.0
_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of an adapter that fails
_WIRE = {
    Outcome.CONFIRMED: COMMAND_OUTCOME_CONFIRMED,
    Outcome.UNCONFIRMED: COMMAND_OUTCOME_UNCONFIRMED,
    Outcome.REFUSED: COMMAND_OUTCOME_REFUSED,
    Outcome.EXPIRED: COMMAND_OUTCOME_EXPIRED,
}

_log = structlog.get_logger()


class Target(Protocol):
    """A device that may be told something."""

    @property
    def is_open(self) -> bool:
        """Whether its link is open."""
        ...

    @property
    def is_known(self) -> bool:
        """Whether it is known what it offers."""
        ...

    @property
    def commands(self) -> Sequence[Command]:
        """What it offers."""
        ...

    def fitted(self, code: str, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values as the adapter takes them; RefusedError."""
        ...

    async def perform(self, code: str, values: Mapping[str, Value], *, only_read: bool) -> Result:
        """Do it and read back, or read back only; LinkError."""
        ...


class Commander:
    """For one life of the agent. `received` and `greeted` are called by the uplink, `run` does the work."""

    def __init__(self, ledger: CommandLedger, devices: Mapping[str, Target]) -> None:
        """`devices`: those with a link of the settings, by name; they may come until `run`."""
        self._ledger, self._devices = ledger, devices
        self._visitors: Callable[[], Container[str]] = tuple
        self._tell: Callable[[GatewayMessage], None] = _nobody
        self._waiting: dict[UUID, tuple[DeviceCommand, float]] = {}  # and when each came, on the steady clock
        self._doing: set[UUID] = set()
        self._turns: dict[str, asyncio.Lock] = {}
        self._news = asyncio.Event()
        self._offered: CommandsOffered | None = None
        self._is_asked = False

    def join(self, visitors: Callable[[], Container[str]], tell: Callable[[GatewayMessage], None]) -> None:
        """`visitors`: devices that come in by a door. `tell` sends to the hub, or does not: it asks again."""
        self._visitors, self._tell = visitors, tell

    def greeted(self) -> None:
        """A hub that asks for commands is there: it has to hear what can be done."""
        self._is_asked = True
        self._offered = None
        self._news.set()

    def received(self, command: DeviceCommand) -> None:
        """Take a command; what was answered before is answered the same."""
        command_id = UUID(bytes=command.id)
        entry = self._ledger.find(command_id)
        result = None if entry is None else entry.result
        if result is not None:
            self._answer(command_id, result)
        elif entry is None and command_id not in self._waiting and command_id not in self._doing:
            if len(self._waiting) + len(self._doing) >= QUEUES["device-commands"].bound:
                self._answer(command_id, Result(Outcome.REFUSED, Reason.FULL))
                return
            self._waiting[command_id] = (command, time.monotonic())
            self._news.set()

    async def run(self) -> None:
        """Until cancelled: finish what was begun before, then do what comes."""
        self._doing.clear()
        self._offered = None
        try:
            await self._ledger.open()
        except OSError as error:  # nothing is done that cannot be written down: each command says so itself
            _not_kept(error)
        async with asyncio.TaskGroup() as group:
            for entry in self._ledger.unfinished():
                self._doing.add(entry.id)
                group.create_task(self._finish(entry))
            while True:
                self._news.clear()
                self._offer()
                for command_id in list(self._waiting):
                    command, came_s = self._waiting.pop(command_id)
                    self._doing.add(command_id)
                    group.create_task(self._serve(command_id, command, came_s))
                try:
                    async with asyncio.timeout(_OFFER_EVERY_S):
                        await self._news.wait()
                except TimeoutError:
                    continue  # an adapter may have said meanwhile what it offers

    def _offer(self) -> None:
        offers = {name: device.commands for name, device in self._devices.items()}
        offered = CommandsOffered(
            ledger=self._ledger.name,
            devices=[
                DeviceOffer(device=name, commands=[offer_message(command) for command in commands])
                for name, commands in offers.items()
                if commands
            ],
        )
        if self._is_asked and offered != self._offered:
            self._offered = offered
            self._tell(GatewayMessage(commands_offered=offered))

    async def _serve(self, command_id: UUID, command: DeviceCommand, came_s: float) -> None:
        entry = Entry(id=command_id, device=command.device, code=command.code, values={})
        try:
            values = dict(decode_params("parameters", command.parameters))
            entry = entry.model_copy(update={"values": values})
            result = await self._done(entry, command, came_s + command.within_ms / 1e3)
        except RefusedError as refused:
            result = refused.result
        except DecodeError as error:
            result = Result(Outcome.REFUSED, Reason.PARAMETERS, str(error)[:MAX_DETAILS])
        await self._ended(self._ledger.find(command_id) or entry, result)

    async def _done(self, entry: Entry, command: DeviceCommand, until_s: float) -> Result:
        device = self._devices.get(entry.device)
        if device is None:
            reason = Reason.DEVICE_BY_DOOR if entry.device in self._visitors() else Reason.DEVICE_UNKNOWN
            raise RefusedError(reason)
        if command.ledger not in (b"", self._ledger.name):
            seen = await self._read_back(device, entry)
            return seen if seen.outcome is Outcome.CONFIRMED else _because(seen, Reason.LEDGER_LOST)
        if not device.is_known and not await _is_open(device, until_s):
            return Result(Outcome.EXPIRED, Reason.NOT_CONNECTED)
        entry = entry.model_copy(update={"values": device.fitted(entry.code, entry.values)})
        if time.monotonic() >= until_s:
            return Result(Outcome.EXPIRED, Reason.TOO_LATE)
        async with self._turn(entry.device, until_s) as is_ours:
            if not is_ours:
                return Result(Outcome.EXPIRED, Reason.BUSY)
            if not await _is_open(device, until_s):
                return Result(Outcome.EXPIRED, Reason.NOT_CONNECTED)
            try:
                await self._ledger.begin(entry)
            except OSError as error:
                _not_kept(error)
                raise RefusedError(Reason.FAILED, "the gateway's disk refused to keep it") from error
            _log.info("device-command-begun", command=str(entry.id), device=entry.device, code=entry.code)
            try:
                return await device.perform(entry.code, entry.values, only_read=False)
            except LinkError as error:
                _log.warning("device-command-cut-off", command=str(entry.id), device=entry.device, error=str(error))
            return await self._read_back(device, entry)

    async def _finish(self, entry: Entry) -> None:
        """A run before this one has begun it."""
        device = self._devices.get(entry.device)
        result = Result(Outcome.UNCONFIRMED, Reason.INTERRUPTED)
        if device is not None:
            async with self._turn(entry.device, time.monotonic() + READ_BACK_S):
                result = await self._read_back(device, entry)
        await self._ended(entry, result)

    async def _read_back(self, device: Target, entry: Entry) -> Result:
        """What the device says itself, if it can be asked within READ_BACK_S."""
        until_s = time.monotonic() + READ_BACK_S
        while await _is_open(device, until_s):
            try:
                device.fitted(entry.code, entry.values)
                seen = await device.perform(entry.code, entry.values, only_read=True)
            except LinkError:
                await asyncio.sleep(_LOOK_S)
            except _ERRORS as error:  # the settings are others by now
                return Result(Outcome.UNCONFIRMED, Reason.INTERRUPTED, str(error)[:MAX_DETAILS])
            else:
                refused = seen.outcome is Outcome.REFUSED
                return _because(seen, Reason.INTERRUPTED) if refused or seen.reason is Reason.NO_ANSWER else seen
        return Result(Outcome.UNCONFIRMED, Reason.INTERRUPTED)

    async def _ended(self, entry: Entry, result: Result) -> None:
        try:
            await self._ledger.end(entry, result)
        except OSError as error:  # the hub has to hear it all the same; it is written with the next
            _not_kept(error)
        self._doing.discard(entry.id)
        DEVICE_COMMANDS.labels(outcome=result.outcome).inc()
        _log.info(
            "device-command-ended", command=str(entry.id), device=entry.device, code=entry.code, outcome=str(result.outcome),
            reason=str(result.reason),
        )  # fmt: skip
        self._answer(entry.id, result)

    def _answer(self, command_id: UUID, result: Result) -> None:
        answer = DeviceCommandAnswer(
            id=command_id.bytes,
            outcome=_WIRE[result.outcome],
            reason=result.reason,
            details=result.details,
            seen=encode_params(tuple(result.seen.items())),
        )
        self._tell(GatewayMessage(device_command_answer=answer))

    @asynccontextmanager
    async def _turn(self, device: str, until_s: float) -> AsyncGenerator[bool]:
        """One command of a device at a time; False when it was not this one's turn in time."""
        turn = self._turns.setdefault(device, asyncio.Lock())
        try:
            async with asyncio.timeout_at(_on_loop(until_s)):
                await turn.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            turn.release()


async def _is_open(device: Target, until_s: float) -> bool:
    """Wait until its link is open; False when it is not in time."""
    while not device.is_open:
        if time.monotonic() >= until_s:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def _on_loop(until_s: float) -> float:
    """A time of the steady clock on the loop's."""
    return asyncio.get_running_loop().time() + until_s - time.monotonic()


def _not_kept(error: OSError) -> None:
    _log.error("device-command-not-kept", error=str(error), what_to_do="look at the disk of the gateway")


def _because(result: Result, reason: Reason) -> Result:
    return Result(Outcome.UNCONFIRMED, reason, result.details, result.seen)


def _nobody(_: GatewayMessage) -> None:
    """Before the uplink is there."""
