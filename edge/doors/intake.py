"""Takes the messages of all doors: who sent it, what it says, whether it came before; replies when it is on disk.

The rule by which a package is taken once, also over a crash of the agent, is decision 0070. Doors themselves (firmware_adapters) know
transports only; what becomes of records is the screening's and the spool's.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

import structlog

from edge.doors.files import FILE_TYPES, file_reader
from edge.doors.flood import STRANGERS, Pacer, Rates
from edge.doors.known import Known
from edge.doors.readers import MEDIA_TYPES, Reader, readers
from edge.doors.visitor import Visitor
from edge.health.metrics import DOOR_MESSAGES, DOOR_REDELIVERED, DOOR_WAITING
from edge.pipeline.batcher import Batcher, lane_for
from edge.pipeline.queues import QUEUES
from edge.pipeline.screened import RAW_OF_MESSAGE, fault_event
from edge.pipeline.traced import Mark, Tracer
from firmware_adapters.door import Message, Pace, Reply, Take, Verdict
from protocols.errors import DecodeError, Fault
from protocols.link import Lane
from protocols.package import Package, identity_of
from protocols.record import AlarmCondition, Record, SourcePath
from protocols.wire import Arrival

MAX_STRANGERS = 256  # devices that no settings name; each costs the state of a screening
PATIENCE_S = 20.0  # longer than a slow disk's group commit; then the sender is told to come again
RETRY_AFTER_S = 2
_REFUSALS_KEPT = 256
_REASONS_SHOWN = 8

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DoorPolicy:
    """Who is known at a door of settings. `kind`: what the ledger calls it (mqtt, coap, http, folder).

    `devices`: those that settings name; any other waits at the hub for its admission.
    """

    name: str
    kind: str
    devices: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict[str, str]()))


class Intake:
    """What all doors hand their messages to. `meet` makes the state of a device that comes for the first time."""

    def __init__(
        self,
        gateway: str,
        batcher: Batcher,
        known: Known,
        meet: Callable[[str], Visitor],
        *,
        linked: Iterable[str] = (),
        is_slow: Callable[[], bool] = lambda: False,
        rates: Rates | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`linked`: devices that come over a link of this gateway. `is_slow`: the disk is behind with what it has.

        `rates`: what devices may send; `meet` gives each its own pace.
        """
        self._rates, self._tracer = rates or Rates(), tracer
        self._strangers: dict[str, Pacer] = {}
        self._gateway, self._batcher, self._known, self._meet = SourcePath(gateway), batcher, known, meet
        self._is_slow = is_slow
        self._taken_names = frozenset((gateway, *linked))
        self._owner: dict[str, str] = {}
        self._visitors: dict[str, Visitor] = {}
        self._under_way: dict[Arrival, asyncio.Future[Reply]] = {}
        self._works: set[asyncio.Future[Reply]] = set()
        self._refusals: dict[bytes, Reply] = {}
        self._waiting_bytes = 0

    def at(self, policy: DoorPolicy) -> Take:
        """The `take` of a door."""
        self._owner.update(dict.fromkeys(policy.devices, policy.name))
        return partial(self._take, policy, readers(policy.names))

    def expect(self, devices: Iterable[str]) -> None:
        """Watch from now on for devices that have not come yet."""
        for device in devices:
            visitor = self._visitors.get(device) or self._visitors.setdefault(device, self._meet(device))
            visitor.watch()

    def visitors(self) -> Mapping[str, Visitor]:
        """The devices that have come, by name."""
        return MappingProxyType(self._visitors)

    async def finish(self, within_s: float | None = None) -> None:
        """Wait for what is under way, after the last batch was closed; what takes longer is not acknowledged, and comes again."""
        if self._works:
            await asyncio.wait(self._works, timeout=within_s)

    async def _take(self, policy: DoorPolicy, by_type: Mapping[str, Reader], message: Message) -> Reply:
        reply = await self._judged(policy, by_type, message)
        verdict = reply.verdict.name.lower()
        # one line for each message of a flood would be a flood of its own: it is an event, and counted
        of_a_flood = reply is _TOO_FAST or reply.verdict is Verdict.GIVEN_UP
        DOOR_MESSAGES.labels(door=policy.name, verdict=verdict).inc()
        if (
            reply.verdict is not Verdict.ACCEPTED and not of_a_flood
        ):  # without the reason: it may quote what the sender says of a person
            _log.warning("message-not-taken", door=policy.name, device=message.device, verdict=verdict)
        return reply

    async def _judged(self, policy: DoorPolicy, by_type: Mapping[str, Reader], message: Message) -> Reply:
        if self._waiting_bytes + len(message.body) > QUEUES["door"].bound:
            return Reply(Verdict.BUSY, "too much waits for the disk", RETRY_AFTER_S)
        if self._is_slow():
            return Reply(Verdict.BUSY, "the disk is behind", RETRY_AFTER_S)
        if not self._in_pace(policy, message):
            return _TOO_FAST if message.pace is Pace.SENDER_WAITS else _GIVEN_UP
        of_file = file_reader(message)
        if of_file is None and message.media_type not in by_type:
            found = repr(message.media_type[:64])
            error = DecodeError("media type", f"one of {', '.join((*MEDIA_TYPES, *FILE_TYPES))}", found)
            return await self._patiently(
                message,
                _bytes_of(message),
                lambda: asyncio.create_task(self._refuse(policy, message, error, Verdict.UNSUPPORTED)),
            )
        try:
            # a file of half a megabyte takes long enough for the live streams of other devices to notice
            if of_file is None:
                package = by_type[message.media_type](message.body, message.at_ns)
            else:
                package = await asyncio.to_thread(of_file)
            mark = None if self._tracer is None else self._tracer.begin(package.device, message.at_ns)
            if self._tracer is not None and mark is not None:
                self._tracer.decoded(mark)
            listed = self._admit(policy, message, package.device)
        except DecodeError as caught:
            unread = caught
            return await self._patiently(
                message, _bytes_of(message), lambda: asyncio.create_task(self._refuse(policy, message, unread))
            )
        arrival = None if package.identity is None else Arrival(package.device, package.identity)
        # whoever has not authenticated is known by its package alone
        if not message.device and not self._keeps_pace(package.device, message):
            return _TOO_FAST if message.pace is Pace.SENDER_WAITS else _GIVEN_UP
        if not self._alarms_in_pace(message, package, arrival):
            return _TOO_FAST
        came = _Came(policy, package, arrival, message.at_ns, listed, mark)
        return await self._patiently(message, arrival, lambda: self._begun(came))

    def _in_pace(self, policy: DoorPolicy, message: Message) -> bool:
        """Whether the sender keeps its pace, before anybody reads what it says; who is not known yet shares one at each door."""
        device = message.device
        if device not in self._visitors and device and self._owner.get(device) == policy.name:
            self._visitors[device] = self._meet(device)
            self._visitors[device].authenticated = True
        if device in self._visitors:
            return self._keeps_pace(device, message)
        pacer = self._strangers.get(policy.name)
        if pacer is None:
            pacer = self._strangers[policy.name] = Pacer(self._rates.usual.times(STRANGERS), time.monotonic)
        return message.pace is Pace.KEPT_BEFORE or pacer.admits(len(message.body))

    def _keeps_pace(self, device: str, message: Message) -> bool:
        if message.pace is Pace.KEPT_BEFORE:
            return True
        can_wait = message.pace is Pace.SENDER_WAITS
        return self._visitors[device].admits(len(message.body), message.at_ns, can_wait=can_wait)

    def _alarms_in_pace(self, message: Message, package: Package, arrival: Arrival | None) -> bool:
        """Whether the device keeps its pace of alarms; a package that was taken before is held against nobody."""
        alarms = sum(isinstance(item, AlarmCondition) for item in package.records)
        if not alarms or message.pace is Pace.KEPT_BEFORE:
            return True
        if arrival is not None and (arrival in self._under_way or Lane.ALARM in self._known.lanes(arrival)):
            return True
        can_wait = message.pace is Pace.SENDER_WAITS
        return self._visitors[package.device].admits_alarms(alarms, message.at_ns, can_wait=can_wait)

    def _admit(self, policy: DoorPolicy, message: Message, device: str) -> bool:
        """Whether settings name the sender; DecodeError when the message is not its own."""
        if message.device and device != message.device:
            raise DecodeError("device", f"{message.device!r}, which sent it", repr(device))
        if device in self._taken_names:
            raise DecodeError("device", "a name that no link of this gateway has", repr(device))
        owner = self._owner.get(device)
        if owner is not None and (owner != policy.name or not message.device):
            raise DecodeError(
                "device", f"one that authenticates at door {owner!r}, whose settings name it", repr(device)
            )
        visitor = self._visitors.get(device)
        if visitor is None:
            if owner is None and len(self._visitors.keys() - self._owner.keys()) >= MAX_STRANGERS:
                raise DecodeError("device", f"at most {MAX_STRANGERS} devices that no settings name", repr(device))
            visitor = self._visitors[device] = self._meet(device)
        visitor.authenticated = visitor.authenticated or bool(message.device)
        if visitor.authenticated and not message.device:
            raise DecodeError("device", "authentication, as this device had before", repr(device))
        return owner is not None

    async def _patiently(
        self, message: Message, arrival: Arrival | None, begin: "Callable[[], asyncio.Future[Reply]]"
    ) -> Reply:
        """Begin the work, or wait for what the same message began: it ends although its sender has gone."""
        work = self._under_way.get(arrival) if arrival is not None else None
        if work is None:
            work = begin()
            self._works.add(work)
            if arrival is not None:
                self._under_way[arrival] = work
            self._count(len(message.body))
            work.add_done_callback(partial(self._done, arrival, len(message.body)))
        await asyncio.wait((work,), timeout=PATIENCE_S)
        if work.done():
            return work.result()
        return Reply(Verdict.BUSY, "the disk has not taken it yet; a repetition is known again", RETRY_AFTER_S)

    def _done(self, arrival: Arrival | None, size: int, work: "asyncio.Future[Reply]") -> None:
        self._works.discard(work)
        if arrival is not None:
            self._under_way.pop(arrival, None)
        self._count(-size)
        if not work.cancelled() and work.exception() is not None:
            _log.error("message-failed", exc_info=work.exception())

    def _count(self, size: int) -> None:
        self._waiting_bytes += size
        DOOR_WAITING.set(self._waiting_bytes)

    def _begun(self, came: "_Came") -> "asyncio.Future[Reply]":
        """Take a package; at once, without a task, when none of its device waits and it raises no alarm, as nearly all."""
        visitor = self._visitors[came.package.device]
        if visitor.queued:
            return visitor.queue(self._in_turn(visitor, came))
        taken = self._screened(visitor, came)
        if taken.alarms:
            return visitor.queue(self._in_turn(visitor, came, taken))
        storing = self._batcher.add_package(taken.records, _marks(taken.lanes, came.arrival))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        left = len(storing)

        def stored(_: "asyncio.Future[int]") -> None:
            nonlocal left
            left -= 1
            if not left and not reply.done():
                reply.set_result(taken.reply if self._noted(storing, taken.lanes, came.arrival) else _DISK)

        for future in storing:
            future.add_done_callback(stored)
        if not storing:
            reply.set_result(taken.reply)
        return reply

    async def _in_turn(self, visitor: Visitor, came: "_Came", taken: "_Taken | None" = None) -> Reply:
        async with visitor.turn:
            taken = taken or self._screened(visitor, came)
            if taken.alarms and not await self._store(taken.alarms, taken.alarm_lanes, came.arrival):
                return _DISK
            # Nothing else of the package is on disk before its alarms are: a repetition would find it known and raise none.
            storing = self._batcher.add_package(taken.records, _marks(taken.lanes, came.arrival))
        return taken.reply if await self._stored(storing, taken.lanes, came.arrival) else _DISK

    def _screened(self, visitor: Visitor, came: "_Came") -> "_Taken":
        package, arrival = came.package, came.arrival
        faults = [item for item in package.records if isinstance(item, Fault)]
        unread = package.records and len(faults) == len(package.records)
        reply = Reply(Verdict.REFUSED if unread else Verdict.ACCEPTED, _reasons(faults))
        if not unread:
            visitor.heard(came.at_ns, package.next_within_s)
        stored = self._known.lanes(arrival) if arrival is not None else frozenset[Lane]()
        own = [item for item in package.records if _lane(item) not in stored] if stored else package.records
        if package.records and not own:
            DOOR_REDELIVERED.labels(door=came.policy.name).inc()
            return _Taken(reply)
        taken = visitor.keep(own) if package.recorded else visitor.screen(own)
        if self._tracer is not None and came.mark is not None:
            self._tracer.screened(came.mark, taken)
        records = [*visitor.seen(came.policy.kind, package.maker, came.at_ns, listed=came.listed), *taken]
        lanes = {_lane(item) for item in own} if arrival is not None else set[Lane]()
        alarms = [r for r in records if isinstance(r, AlarmCondition)]
        rest = [r for r in records if not isinstance(r, AlarmCondition)] if alarms else records
        return _Taken(reply, alarms, rest, lanes & _ALARM, lanes - _ALARM)

    async def _refuse(
        self, policy: DoorPolicy, message: Message, error: DecodeError, verdict: Verdict = Verdict.REFUSED
    ) -> Reply:
        """Keep what could not be read before its sender hears that; a sender that repeats it is told the same and nothing more."""
        key = hashlib.sha256(f"{policy.name}\n{message.device}\n".encode() + message.body).digest()
        if key in self._refusals:
            return self._refusals[key]
        try:
            source = SourcePath(message.device)
        except ValueError:
            source = self._gateway
        where = f"{message.where}: {error.where}"
        fault = Fault(str(source), where, error.expected, error.found, message.body, message.at_ns)
        event = fault_event(source, fault, RAW_OF_MESSAGE)
        event = replace(event, params=(*event.params, ("door", policy.name), ("sender", message.device)))
        if not await self._store([event], set(), None):
            return _DISK
        reply = self._refusals[key] = Reply(verdict, str(error))
        if len(self._refusals) > _REFUSALS_KEPT:
            del self._refusals[next(iter(self._refusals))]
        return reply

    async def _store(self, records: Iterable[Record], lanes: AbstractSet[Lane], arrival: Arrival | None) -> bool:
        return await self._stored(self._batcher.add_package(records, _marks(lanes, arrival)), lanes, arrival)

    async def _stored(
        self, storing: "list[asyncio.Future[int]]", lanes: AbstractSet[Lane], arrival: Arrival | None
    ) -> bool:
        """Wait for the disk; whether it has everything. The marks are noted behind the data, never before."""
        if storing:
            await asyncio.wait(storing)
        return self._noted(storing, lanes, arrival)

    def _noted(
        self, storing: "Iterable[asyncio.Future[int]]", lanes: AbstractSet[Lane], arrival: Arrival | None
    ) -> bool:
        if any(future.cancelled() or future.exception() for future in storing):
            return False
        if arrival is not None:
            for lane in lanes:
                self._known.note(lane, arrival)
        return True


@dataclass(frozen=True, slots=True)
class _Came:
    """A package as it came to a door. `listed`: settings name its device. `mark`: somebody follows it."""

    policy: DoorPolicy
    package: Package
    arrival: Arrival | None
    at_ns: int
    listed: bool
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is to be stored of a package: its alarms first, then the rest; the lanes that are whole with each; what its sender then hears."""

    reply: Reply
    alarms: Sequence[AlarmCondition] = ()
    records: Sequence[Record] = ()
    alarm_lanes: AbstractSet[Lane] = frozenset()
    lanes: AbstractSet[Lane] = frozenset()


_ALARM = frozenset({Lane.ALARM})
_TOO_FAST = Reply(Verdict.BUSY, "this device sends more than it may", 1)
_GIVEN_UP = Reply(Verdict.GIVEN_UP, "this device sends more than it may")
_DISK = Reply(Verdict.BUSY, "the disk did not take it", RETRY_AFTER_S)


def _bytes_of(message: Message) -> Arrival:
    """By which a message that cannot be read is known while it is under way: the same bytes at once are one fault."""
    return Arrival(message.device, identity_of(message.device, None, message.body))


def _lane(item: Record | Fault) -> Lane:
    return Lane.EVENT if isinstance(item, Fault) else lane_for(item)


def _marks(lanes: AbstractSet[Lane], arrival: Arrival | None) -> dict[Lane, Arrival]:
    return {} if arrival is None else dict.fromkeys(lanes, arrival)


def _reasons(faults: list[Fault]) -> str:
    told = [f"{f.where}: expected {f.expected}, found {f.found}" for f in faults[:_REASONS_SHOWN]]
    if len(faults) > _REASONS_SHOWN:
        told.append(f"{len(faults) - _REASONS_SHOWN} more")
    return "\n".join(told)
