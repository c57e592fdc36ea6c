"""One device's pipeline: open its link, decode, screen, and hand the records on; for ever, whatever the link does.

A failure stays with its device: the link is opened again with growing pauses, what was pending in the decoder comes out, and
the silence becomes an event and a technical alarm, once, and so does its end. Silent is a device of which nothing can be read: its
port is open and brings nothing or noise, cannot be opened, or its decoder fails each time.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from edge.exchange import Exchanging
from edge.health.metrics import LINK_BYTES, LINK_UP
from edge.pipeline.pulses import Pulses
from edge.pipeline.screened import Screened, is_word
from edge.pipeline.silence import Silence
from edge.pipeline.steady import moved
from firmware_adapters.adapter import Adapter, Decoder, DeviceConfig, Link, LinkError, Resume
from firmware_adapters.commanding import Commanded
from models.screening.placement import Placement
from protocols.device_command import Command, Reason, RefusedError, Result, Value, fitting
from protocols.errors import Fault
from protocols.nomenclature import (
    DEVICE_RESTART,
    EVT_CONNECTED,
    EVT_DEVICE_SEEN,
    EVT_DISCONNECTED,
    EVT_HEARD_AGAIN,
    EVT_SILENT,
)
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Gap,
    Params,
    Record,
    SourcePath,
    Times,
    WaveformGroup,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from edge.pipeline.traced import Mark, Tracer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
SEGMENTS_SINCE_S = 1_577_836_800  # 2020-01-01
WAKE_AFTER_S = 0.5  # a board that streams already is not disturbed

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sink:
    """What a pipeline hands its records to, and the gateway's clock."""

    add: Callable[[Iterable[Record]], None]
    now_ns: Callable[[], int]
    # By how much the clock was set since the agent began: a decoder, which counts what is missing by time, hears of no step.
    stepped_ns: Callable[[], int] = lambda: 0
    tracer: "Tracer | None" = None
    pulses: Pulses = field(default_factory=Pulses)

    def segments(self) -> int:
        """Where the numbers of clock segments go on: by seconds, so that no run of the agent gives one of another's."""
        return max(0, self.now_ns() // NS_PER_S - SEGMENTS_SINCE_S)


class _Ends(Mapping[SourcePath, Resume]):
    """Where the stored samples of each source end at the moment of asking, by the clock that decoders are told."""

    def __init__(self, ends: Mapping[SourcePath, Resume], stepped_ns: Callable[[], int]) -> None:
        self._ends, self._stepped_ns = ends, stepped_ns

    def __getitem__(self, source: SourcePath) -> Resume:
        end = self._ends[source]
        return Resume(end.end_sample, end.end_ns - self._stepped_ns())

    def __iter__(self) -> Iterator[SourcePath]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)


class DevicePipeline:
    """A device from its link to the lanes."""

    def __init__(
        self,
        adapter: Adapter,
        config: DeviceConfig,
        sink: Sink,
        *,
        placement: Placement,
        resume: Mapping[SourcePath, Resume],
        active: tuple[AlarmCondition, ...] = (),
    ) -> None:
        """`resume` and `active`: what the spool knows of this device from before the start."""
        self._adapter, self._config, self._sink = adapter, config, sink
        self._source = SourcePath(config.device)
        self._resume = dict(resume)
        self._is_open = False
        self._exchanging: Exchanging | None = None
        self._decoder: Decoder | None = None
        self._interrupted: dict[SourcePath, int] = {}  # sources that a command has stopped, and where each ended, ns
        self._heard_ns = 0
        self._silence = Silence(adapter.silence_ns / NS_PER_S, self._fell_silent, self._heard_again)
        self._screened = Screened(config.device, placement, active, pulses=sink.pulses, segments=sink.segments())

    @property
    def is_up(self) -> bool:
        """Whether the link is open and the device is not silent."""
        return self._is_open and not self._silence.holds

    def end(self) -> None:
        """Nobody listens any more, and nobody waits for a run that comes."""
        self._silence.end()

    def place(self, placement: Placement) -> None:
        """Go on under another placement."""
        self._screened.place(placement)

    def clock_stepped(self, by_ns: int) -> None:
        """The gateway's clock was set forward by `by_ns`."""
        self._heard_ns += by_ns
        self._interrupted = {source: end_ns + by_ns for source, end_ns in self._interrupted.items()}
        self._screened.clock_stepped(by_ns)

    def acknowledge(self, alarm: "UUID") -> None:
        """Somebody at the hub has acknowledged an alarm of this device."""
        self._sink.add(self._screened.acknowledge(alarm, Times(self._sink.now_ns())))

    @property
    def is_open(self) -> bool:
        """Whether the link is open."""
        return self._exchanging is not None

    @property
    def is_known(self) -> bool:
        """Whether it is known what the device can be told to do: an adapter in a process of its own says it when it is loaded."""
        return bool(getattr(self._adapter, "is_ready", True))

    @property
    def commands(self) -> "Sequence[Command]":
        """What the device can be told to do."""
        return self._adapter.commands(self._config) if isinstance(self._adapter, Commanded) else ()

    def fitted(self, code: str, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values of a command as its adapter takes them; RefusedError when the device cannot, or must not, do that."""
        offered = {command.code: command for command in self.commands}
        if not isinstance(self._adapter, Commanded) or not offered:
            raise RefusedError(Reason.NO_COMMANDS, f"devices of the family {self._config.family} take no commands")
        if code not in offered:
            raise RefusedError(Reason.COMMAND_UNKNOWN, f"{code!r}: expected one of {', '.join(offered)}")
        fit = fitting(offered[code], values)
        self._adapter.command(self._config, code, fit)
        return fit

    async def perform(self, code: str, values: Mapping[str, Value], *, only_read: bool) -> Result:
        """Tell the device; LinkError when it is not there, or goes before it is known what became of it. `values` as `fitted` gave them."""
        exchanging = self._exchanging
        if exchanging is None or not isinstance(self._adapter, Commanded):
            msg = f"device {self._config.device} is not connected"
            raise LinkError(msg)
        exchange = self._adapter.command(self._config, code, values)
        interrupts = any(command.code == code and command.interrupts for command in self.commands)
        return await exchanging.play(exchange, only_read=only_read, quiet=self._paused if interrupts else None)

    async def run(self) -> None:
        """Until cancelled; then what was pending has been handed on.

        One decoder serves every link of this run, so that it knows which hole a lost link left; `resume` is for a new run. A run
        that fails leaves the watch for silence going: until the next one nobody listens, and that must be told.
        """
        self._heard_ns = self._heard_ns or self._sink.now_ns()
        self._silence.watch()
        try:
            decoder = self._adapter.decoder(self._config, _Ends(self._resume, self._sink.stepped_ns))
            await self._keep_open(decoder)
        except asyncio.CancelledError:
            self._silence.end()
            raise
        finally:
            self._stands(is_open=False)

    async def _keep_open(self, decoder: Decoder) -> None:
        pause_s, said = FIRST_PAUSE_S, ""
        while True:
            began_s = time.monotonic()
            try:
                await self._connected(decoder)
            except LinkError as error:
                task = asyncio.current_task()
                # closing what is gone as well failed: this is the end, and no lost link
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError from error
                # who measures now and then is away most of the time: that is told once a change, not once a look
                if self._adapter.silence_ns or str(error) != said:
                    _log.warning(
                        "link-lost", device=self._config.device, error=str(error), again_in_s=round(pause_s, 1)
                    )
                said = str(error)
            self._stands(is_open=False)
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _connected(self, decoder: Decoder) -> None:
        async with self._adapter.transport(self._config).open() as link:
            self._silence.change(self._adapter.silence_ns / NS_PER_S)  # an adapter in another process says it only now
            self._event(EVT_CONNECTED)
            self._make_known()
            self._stands(is_open=True)
            self._exchanging = exchanging = Exchanging(link)
            self._decoder = decoder
            try:
                await self._read(link, decoder, exchanging)
            finally:
                self._exchanging = None
                exchanging.lost()
                self._take(self._flushed(decoder))
                self._event(EVT_DISCONNECTED)

    async def _read(self, link: Link, decoder: Decoder, exchanging: Exchanging) -> None:
        patience_s = WAKE_AFTER_S
        while True:
            try:
                # asyncio.wait_for of Python 3.11 swallows a cancellation that comes with the data: the agent would not stop
                async with asyncio.timeout(patience_s or None):
                    chunk = await link.receive()
            except TimeoutError:
                if exchanging.is_busy:  # it is a command that keeps the device silent
                    continue
                self._take(self._flushed(decoder))
                for command in self._adapter.wake(self._config):
                    await link.send(command)
                patience_s = self._adapter.silence_ns / NS_PER_S
                continue
            patience_s = self._adapter.silence_ns / NS_PER_S
            LINK_BYTES.labels(device=self._config.device).inc(len(chunk.data))
            exchanging.heard(chunk.data, chunk.channel)
            at_ns = self._sink.now_ns()
            tracer = self._sink.tracer
            mark = None if tracer is None else tracer.begin(self._config.device, at_ns)
            decoded = self._decoded(decoder.feed(chunk.data, at_ns - self._sink.stepped_ns(), chunk.channel))
            if tracer is not None and mark is not None:
                tracer.decoded(mark)
            if is_word(decoded):
                self._heard(at_ns)
            self._take(decoded, mark)

    def _flushed(self, decoder: Decoder) -> "Sequence[Record | Fault]":
        return self._decoded(decoder.flush(self._sink.now_ns() - self._sink.stepped_ns()))

    def _decoded(self, records: "Sequence[Record | Fault]") -> "Sequence[Record | Fault]":
        by_ns = self._sink.stepped_ns()
        return [moved(record, by_ns) for record in records] if by_ns else records

    def _heard(self, at_ns: int) -> None:
        self._heard_ns = at_ns
        self._silence.heard()
        changes = self._screened.link(Times(self._heard_ns), lost=False)
        if changes:
            self._sink.add(changes)

    def _fell_silent(self) -> None:
        self._stands(is_open=self._is_open)
        self._event(EVT_SILENT)
        self._sink.add(self._screened.link(Times(self._sink.now_ns()), lost=True, since_ns=self._heard_ns))

    def _heard_again(self) -> None:
        self._stands(is_open=self._is_open)
        self._event(EVT_HEARD_AGAIN)

    def _stands(self, *, is_open: bool) -> None:
        self._is_open = is_open
        LINK_UP.labels(device=self._config.device).set(self.is_up)

    def _take(self, decoded: Iterable[Record | Fault], mark: "Mark | None" = None) -> None:
        if self._interrupted:
            decoded = list(self._with_gaps(decoded))
        out = self._screened.step(decoded)
        if self._sink.tracer is not None and mark is not None:
            self._sink.tracer.screened(mark, out)
        for record in out:
            if isinstance(record, WaveformGroup):
                end_ns = record.time_of(record.end_sample)
                self._resume[record.source] = Resume(record.end_sample, end_ns)
        self._sink.add(out)

    def _paused(self) -> None:
        """A command has kept the device from measuring, and it is about to go on: what comes does not join what was."""
        if self._decoder is not None:
            self._take(self._flushed(self._decoder))
        self._interrupted = {source: end.end_ns for source, end in self._resume.items()}

    def _with_gaps(self, decoded: Iterable[Record | Fault]) -> "Iterator[Record | Fault]":
        """What was not measured during a command is told by a Gap, unless the decoder tells of one itself."""
        for record in decoded:
            if isinstance(record, Gap):
                self._interrupted.pop(record.source, None)
            elif isinstance(record, WaveformGroup):
                end_ns = self._interrupted.get(record.source)
                if end_ns is not None:
                    del self._interrupted[record.source]
                    # a decoder's estimate of the first sample may lie before what it told of the last
                    to_ns, times = max(end_ns, record.times.best_ns), Times(record.times.gateway_ns)
                    yield Gap(record.source, end_ns, to_ns, DEVICE_RESTART, recoverable=False, times=times)
            yield record

    def _make_known(self) -> None:
        """Tell the ledger what this device is; the device itself may say more. Settings name it, so it needs no admission."""
        family = self._adapter.family
        params: Params = (("make", family.maker), ("model", family.model), ("door", family.door), ("listed", True))
        self._sink.add([DeviceEvent(self._source, EVT_DEVICE_SEEN, Times(self._sink.now_ns()), params)])

    def _event(self, code: str) -> None:
        self._sink.add([DeviceEvent(self._source, code, Times(self._sink.now_ns()))])
