"""An adapter in a process of its own, as any other to the pipeline: its link brings packages of records, its decoder unpacks them.

A process that ended is told once, in the log and as an event of the device, and started again with growing pauses. What was lost is a
Gap: an adapter that goes on where the stored samples end says so itself; of one that begins anew the samples are numbered on here.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog
from google.protobuf.message import DecodeError as ProtobufError

from edge.health.metrics import HOST_RESTARTS
from edge.host import wire
from edge.host.commanding import HostedExchange, offers_from_text
from edge.host.limits import HostLimits
from edge.host.process import Ended, HostLostError, HostProcess
from edge.host.wire import Kind
from firmware_adapters.adapter import API_VERSION, Chunk, DeviceConfig, Family, LinkError, Resume
from firmware_adapters.commanding import Exchange
from protocols.device_command import Command, Value
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_ADAPTER_LOST, LINK_LOSS
from protocols.record import NS_PER_S, DeviceEvent, Gap, Observation, Record, SourcePath, Times, WaveformGroup
from protocols.wire import decode_package

UNKNOWN_SILENCE_NS = (
    5 * NS_PER_S
)  # until the adapter says its own: nobody watches a device whose adapter cannot be loaded
FIRST_PAUSE_S, LONGEST_PAUSE_S, CALM_S = 0.2, 60.0, 60.0
REFUSED_PAUSE_S = 30.0  # for settings that cannot be used: somebody has to change them
_SOURCES = 256
_EARLY = 64

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HostContext:
    """What every host of an agent is given: the gateway's clock, the environment, limits, and where events go."""

    now_ns: Callable[[], int]
    environment: Mapping[str, str]
    limits: HostLimits
    tell: Callable[[DeviceEvent], None]


class HostedAdapter:
    """One device's adapter. Nothing of its code runs in the agent, not even its import."""

    api_version = API_VERSION

    def __init__(self, config: DeviceConfig, context: HostContext) -> None:
        """Starts nothing."""
        self._config, self._context = config, context
        self._process: HostProcess | None = None
        self._decoder = HostedDecoder(config.device, {})
        self._resume: Mapping[SourcePath, Resume] = {}
        self._sessions, self._failures = 0, 0
        self._began_s, self._not_before_s = 0.0, 0.0
        self.family = Family(config.family, "", "", (), "")
        self.silence_ns = UNKNOWN_SILENCE_NS
        self.is_ready = False  # whether the adapter was ever loaded, and has said what it offers
        self._offers: tuple[Command, ...] = ()

    def check(self, config: DeviceConfig) -> None:
        """Only the adapter itself can tell, and it is in another process."""

    def transport(self, config: DeviceConfig) -> "HostedAdapter":
        """The process is the transport."""
        del config
        return self

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> "HostedDecoder":
        """`resume` is looked at again whenever a process is started: it goes on with what is stored."""
        del config
        self._resume = resume
        return self._decoder

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """The adapter's own commands are its process's."""
        del config
        return (b"",)

    def commands(self, config: DeviceConfig) -> Sequence[Command]:
        """What the adapter has said."""
        del config
        return self._offers

    def command(self, config: DeviceConfig, code: str, values: Mapping[str, Value]) -> Exchange:
        """The adapter's own, in its process; what it will not do it says there."""
        del config
        return HostedExchange(code, values)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["HostedLink"]:
        """Start the process if there is none, and let it open its link."""
        process = await self._running()
        self._sessions += 1
        link = HostedLink(self, process, self._sessions)
        process.say(Kind.OPEN, session=self._sessions)
        await link.opened()
        self._decoder.begun(self._context.now_ns())
        try:
            yield link
        finally:
            process.say(Kind.CLOSE)

    async def heard(self, process: HostProcess) -> tuple[Kind, bytes]:
        """What a process says next; its end is told before it is raised."""
        try:
            return await process.next()
        except HostLostError as error:
            self._lost(error.ended)
            raise

    async def end(self) -> None:
        """The agent stops."""
        if self._process is not None:
            await self._process.end()
            self._process = None

    def tell_clock(self) -> None:
        """The gateway's clock may have been set: the process follows it."""
        if self._process is not None:
            self._process.say(Kind.CLOCK, offset_ns=self._offset_ns())

    async def _running(self) -> HostProcess:
        if self._process is not None:
            return self._process
        await asyncio.sleep(max(0.0, self._not_before_s - time.monotonic()))
        self._began_s = time.monotonic()
        process = self._process = await HostProcess.start(self._context.environment, self._context.limits)
        self._decoder.anew(self._resume)
        process.say(
            Kind.BEGIN,
            device=self._config.device,
            family=self._config.family,
            url=self._config.url,
            options=dict(self._config.options),
            resume={str(source): (end.end_sample, end.end_ns) for source, end in self._resume.items()},
            offset_ns=self._offset_ns(),
        )
        try:
            await self._ready(process)
        except asyncio.CancelledError:
            self._process = None
            await process.end()
            raise
        return process

    async def _ready(self, process: HostProcess) -> None:
        kind, body = await self.heard(process)
        value = wire.object_of(body)
        if kind is Kind.REFUSED:
            text = str(value.get("text"))
            _log.error("device-not-usable", device=self._config.device, reason=text)
            self._process, self._not_before_s = None, time.monotonic() + REFUSED_PAUSE_S
            await process.end()
            raise LinkError(text)
        self.family = Family(
            self._config.family,
            str(value.get("maker")),
            str(value.get("model")),
            (),
            "",
            door=str(value.get("door")),
        )
        self.silence_ns = int(str(value.get("silence_ns")))
        try:
            self._offers = offers_from_text(wire.strings(value.get("commands")))
        except (ValueError, ProtobufError) as error:
            _log.error("commands-not-usable", device=self._config.device, reason=str(error))
        self.is_ready = True

    def _lost(self, ended: Ended) -> None:
        self._process = None
        now_s = time.monotonic()
        self._failures = 1 if now_s - self._began_s > CALM_S else self._failures + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1))
        self._not_before_s = now_s + pause_s
        self._decoder.lost()
        HOST_RESTARTS.labels(device=self._config.device, reason=ended.reason).inc()
        _log.error(
            "adapter-lost",
            device=self._config.device,
            family=self._config.family,
            reason=ended.reason,
            text=ended.text,
            where=list(ended.where),
            again_in_s=round(pause_s, 1),
        )
        where = ended.where[0] if ended.where else ""
        params = (("reason", ended.reason), ("family", self._config.family), ("where", where))
        source = SourcePath(self._config.device)
        self._context.tell(DeviceEvent(source, EVT_ADAPTER_LOST, Times(self._context.now_ns()), params, ended.text))

    def _offset_ns(self) -> int:
        return self._context.now_ns() - time.monotonic_ns()


class HostedLink:
    """The link as the pipeline reads it: a chunk is the body of a frame, its channel the frame's kind."""

    def __init__(self, owner: HostedAdapter, process: HostProcess, session: int) -> None:
        """Made by HostedAdapter.open."""
        self._owner, self._process, self._session = owner, process, session
        self._early: list[Chunk] = []

    async def opened(self) -> None:
        """Wait until the process has its link; what its decoder gave out behind the last one is kept."""
        while True:
            kind, body = await self._next()
            if kind is Kind.OPENED:
                return
            if len(self._early) >= _EARLY:
                msg = f"the adapter has sent {_EARLY} packages before its link was open"
                raise LinkError(msg)
            self._early.append(Chunk(body, kind.name))

    async def receive(self) -> Chunk:
        """The next package or fault; LinkError when the device's link or its process is gone."""
        if self._early:
            return self._early.pop(0)
        kind, body = await self._next()
        return Chunk(body, kind.name)

    async def send(self, data: bytes) -> None:
        """A command; without one the device is silent, and the adapter does what it knows."""
        if data:
            self._process.say(Kind.COMMAND, **wire.object_of(data))
        else:
            self._process.say(Kind.WAKE)

    async def _next(self) -> tuple[Kind, bytes]:
        """The next of this session; a late word of an earlier one is passed over."""
        while True:
            kind, body = await self._owner.heard(self._process)
            if kind in {Kind.RECORDS, Kind.FAULT, Kind.COMMANDED}:
                return kind, body
            if kind in {Kind.OPENED, Kind.LOST}:
                value = wire.object_of(body)
                if value.get("session") == self._session:
                    if kind is Kind.LOST:
                        raise LinkError(str(value.get("text")))
                    return kind, body


class HostedDecoder:
    """Packages to records. Knows where each source stood when the last process ended."""

    def __init__(self, device: str, resume: Mapping[SourcePath, Resume]) -> None:
        """`resume`: where the stored samples end."""
        self._device = device
        self._ends = dict(resume)
        self._shift: dict[SourcePath, int] = {}
        self._numbers: dict[SourcePath, int] = {}
        self._is_lost = False
        self._owed: list[Gap] = []

    def anew(self, resume: Mapping[SourcePath, Resume]) -> None:
        """A process begins: it may know where the stored samples end, or count from 0."""
        self._ends, self._shift = dict(resume), {}

    def lost(self) -> None:
        """The process has ended: what the device measures until another one listens is lost."""
        self._is_lost = True

    def begun(self, now_ns: int) -> None:
        """The link is open."""
        if self._is_lost:
            self._owed += [
                Gap(source, last_ns, max(last_ns, now_ns), LINK_LOSS, recoverable=False, times=Times(now_ns))
                for source, last_ns in self._numbers.items()
            ]
            self._is_lost = False

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        """One package, or one fault."""
        found: list[Record | Fault] = [*self._owed]
        self._owed = []
        try:
            if channel == Kind.COMMANDED.name:
                return found
            if channel == Kind.FAULT.name:
                return [*found, wire.fault_of(data, self._device)]
            records = decode_package(data, at).records
        except (DecodeError, ValueError, TypeError) as error:
            return [*found, Fault(self._device, "package", "a package of the adapter", str(error), data, at)]
        for record in records:
            found += self._placed(record)
        return found

    def flush(self, at: int) -> list[Record | Fault]:
        """Nothing: what is pending is pending in the process."""
        del at
        return []

    def _placed(self, record: Record | Fault) -> list[Record | Fault]:
        match record:
            case Observation() if record.source in self._numbers or len(self._numbers) < _SOURCES:
                self._numbers[record.source] = record.times.gateway_ns
            case Gap(to_sample=int(to_sample)) if (
                record.source in self._ends and to_sample >= self._ends[record.source].end_sample
            ):
                del self._ends[record.source]  # the adapter knows by itself where it goes on
            case WaveformGroup():
                return self._numbered(record)
            case _:
                pass
        return [record]

    def _numbered(self, group: WaveformGroup) -> list[Record | Fault]:
        """The group behind what is stored, with the Gap between them if its process says nothing of one."""
        end = self._ends.pop(group.source, None)
        begin_ns = group.times.best_ns
        if end is not None and group.first_sample < end.end_sample:
            passed = max(0, round((begin_ns - end.end_ns) / NS_PER_S * group.fs_hz))
            self._shift[group.source] = end.end_sample + passed - group.first_sample
        moved = replace(group, first_sample=group.first_sample + self._shift.get(group.source, 0))
        if end is None or moved.first_sample <= end.end_sample:
            return [moved]
        times = Times(group.times.gateway_ns)
        gap = Gap(
            group.source, end.end_ns, max(end.end_ns, begin_ns), LINK_LOSS, recoverable=False, times=times,
            from_sample=end.end_sample, to_sample=moved.first_sample,
        )  # fmt: skip
        return [gap, moved]
