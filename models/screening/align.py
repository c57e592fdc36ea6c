"""Give waveforms and readings the time at which they were measured, from sample counts and arrival times.

Samples lie on a line of their source (`sample_line`). The device's own clock is passed on as seen, and used where its offset is known
(`device_clock`): for readings, and for samples that were kept back. What was seen is never changed; each stretch of a clock without
a step is a segment, with a number that no other of the device has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from models.screening import device_clock, sample_line
from models.screening.device_clock import LEAST_UNCERTAINTY_NS, OLDEST_NS, DeviceClock
from models.screening.sample_line import STEP_NS, Line
from protocols.nomenclature import EVT_CLOCK_STEP, EVT_CLOCK_WRONG
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    DeviceEvent,
    Gap,
    Observation,
    Record,
    SourcePath,
    Times,
    WaveformGroup,
)

WRONG_CLOCK_NS = 60 * NS_PER_S

TimedRecord: TypeAlias = Observation | DeviceEvent | Gap | AlarmCondition


@dataclass(frozen=True, slots=True)
class AlignState:
    """A line for each source of waveforms, and the sources whose own clock was reported as wrong.

    `segments`: the highest number of a clock segment so far, of samples and of the device's own clock together.
    """

    lines: Mapping[SourcePath, Line] = field(default_factory=lambda: MappingProxyType(dict[SourcePath, Line]()))
    wrong: frozenset[SourcePath] = frozenset()
    clock: DeviceClock = field(default_factory=DeviceClock)
    segments: int = 0


def arrived(state: AlignState, message: Iterable[Record]) -> tuple[AlignState, tuple[Record, ...]]:
    """What a device sent at once, before its records are aligned: it tells of the device's clock, and whether that was set."""
    told = [r for r in message if r.times.device_ns is not None]
    if not told:
        return state, ()
    offset_ns, newest = min(((_offset(r.times), r) for r in told), key=lambda pair: pair[0])
    before, at_ns = state.clock, newest.times.gateway_ns
    clock = device_clock.learn(before, offset_ns, at_ns)
    if clock.segment == before.segment:
        return AlignState(state.lines, state.wrong, clock, state.segments), ()
    clock = replace(clock, segment=state.segments + 1)
    state = replace(state, clock=clock, segments=clock.segment)
    known_ns, now_ns = before.offset_at(at_ns), clock.offset_at(at_ns)
    if known_ns is None or now_ns is None:
        return state, ()
    times = Times(at_ns, newest.times.device_ns, at_ns)
    params = (("shift_ns", known_ns - now_ns),)
    return state, (DeviceEvent(SourcePath(newest.source.device), EVT_CLOCK_STEP, times, params),)


def _offset(times: Times) -> int:
    return 0 if times.device_ns is None else times.gateway_ns - times.device_ns


def step(state: AlignState, record: Record) -> tuple[AlignState, tuple[Record, ...]]:
    """The record with its corrected time, behind it an event when its device's clock is wrong or has stepped."""
    events: tuple[Record, ...] = ()
    times = record.times
    if isinstance(record, WaveformGroup):
        before = state.lines.get(record.source)
        arrival_ns = _arrival(before, record, state.clock)
        line = sample_line.follow(before, record.fs_hz, record.first_sample, arrival_ns, state.segments + 1)
        lines = MappingProxyType({**state.lines, record.source: line})
        state = AlignState(lines, state.wrong, state.clock, max(state.segments, line.segment))
        corrected_ns, uncertainty_ns = round(line.at(record.first_sample)), round(line.uncertainty_ns)
        times = Times(times.gateway_ns, times.device_ns, corrected_ns, uncertainty_ns, line.segment)
        if before is not None and line.segment != before.segment:
            shift = round(line.at(record.first_sample) - before.at(record.first_sample))
            events = (DeviceEvent(record.source, EVT_CLOCK_STEP, times, (("shift_ns", shift),)),)
        record = record.timed(times)
    elif times.corrected_ns is None and isinstance(record, Observation | DeviceEvent | Gap | AlarmCondition):
        record = timed(record, _by_clock(times, state.clock))
    state, wrong = _own_clock(state, record.source, times)
    return state, (record, *events, *wrong)


def timed(record: TimedRecord, times: Times) -> TimedRecord:
    """The same record with other times."""
    if not isinstance(record, Observation):
        return replace(record, times=times)
    # not by `replace`: readings are most of what comes, and that takes three times as long
    return Observation(
        record.source,
        record.code,
        record.value,
        record.unit,
        times,
        record.comparator,
        record.coded,
        record.site,
        record.averaging_ns,
        record.quality,
    )


def stepped(state: AlignState, by_ns: int) -> AlignState:
    """The gateway's own clock was set forward by `by_ns`: every clock is what it was, seen from there, in a segment of its own."""
    lines: dict[SourcePath, Line] = {}
    segment = state.segments
    for source, line in state.lines.items():
        segment += 1
        lines[source] = line.stepped(by_ns, segment)
    clock = replace(device_clock.stepped(state.clock, by_ns), segment=segment + 1 if state.clock.segment else 0)
    return replace(state, lines=MappingProxyType(lines), clock=clock, segments=max(segment, clock.segment))


def _own_clock(state: AlignState, source: SourcePath, times: Times) -> tuple[AlignState, tuple[Record, ...]]:
    if times.device_ns is None:
        return state, ()
    off = times.device_ns - times.gateway_ns
    if (
        -OLDEST_NS <= off <= WRONG_CLOCK_NS
    ):  # it may be right and the reading old: the clock is judged by what is known of it
        off = 0 if state.clock.offset_ns is None else -state.clock.offset_ns
    if abs(off) <= WRONG_CLOCK_NS:
        return (replace(state, wrong=state.wrong - {source}) if source in state.wrong else state), ()
    if source in state.wrong:
        return state, ()
    event = DeviceEvent(source, EVT_CLOCK_WRONG, times, (("device_ns", times.device_ns), ("off_ns", off)))
    return replace(state, wrong=state.wrong | {source}), (event,)


def _by_clock(times: Times, clock: DeviceClock) -> Times:
    """The time of a reading by its device's clock, never later than its arrival; by its arrival while the clock is not known.

    Until then it may be as old as the device says.
    """
    at_ns, device_ns = times.gateway_ns, times.device_ns
    if device_ns is None:
        return Times(at_ns, None, at_ns, times.uncertainty_ns, times.clock_segment)
    measured_ns = clock.measured_ns(device_ns)
    if measured_ns is None:
        kept_ns = at_ns - device_ns
        uncertainty_ns = max(LEAST_UNCERTAINTY_NS, kept_ns if kept_ns <= OLDEST_NS else 0)
        return Times(at_ns, device_ns, at_ns, uncertainty_ns, times.clock_segment)
    measured_ns = min(measured_ns, at_ns)
    if at_ns - measured_ns > OLDEST_NS:
        return Times(at_ns, device_ns, at_ns, clock.uncertainty_ns(at_ns), times.clock_segment)
    uncertainty_ns = clock.uncertainty_ns(measured_ns) + clock.doubt_ns
    return Times(at_ns, device_ns, measured_ns, uncertainty_ns, clock.segment)


def _arrival(line: Line | None, group: WaveformGroup, clock: DeviceClock) -> int:
    """When the first sample would have come, had the device not kept it back.

    Samples that come when the line expects them are live, whatever a clock says that may just have been set.
    """
    arrival_ns = group.times.gateway_ns
    if (
        line is not None
        and line.continues(group.fs_hz, group.first_sample)
        and arrival_ns - line.at(group.first_sample) <= STEP_NS
    ):
        return arrival_ns
    measured_ns = None if group.times.device_ns is None else clock.measured_ns(group.times.device_ns)
    if measured_ns is None:
        return arrival_ns
    return measured_ns if STEP_NS < arrival_ns - measured_ns <= OLDEST_NS else arrival_ns
