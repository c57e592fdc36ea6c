"""Give waveforms and readings the time at which they were measured, from sample counts and arrival times.

A device's crystal is steady but not exact; arrivals are exact but late by a jitter that is never negative. So the earliest
arrivals of each window pull the line slowly, and the spread of arrivals states the uncertainty. The device's own clock is
passed on as seen, and used where its offset is known (`device_clock`): for readings, and for samples that were kept back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from models.screening.device_clock import OLDEST_NS, DeviceClock, learn
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

WINDOW_NS = 10 * NS_PER_S
STEP_NS = NS_PER_S // 2
LATE_WINDOWS = 2  # windows without one timely arrival before lateness is a step of the clock and no stall of the link
PHASE_GAIN = 0.5
DRIFT_GAIN = 0.05
MAX_DRIFT = 200e-6
LEAST_UNCERTAINTY_NS = 2_000_000
FIRST_UNCERTAINTY_NS = 50_000_000
WRONG_CLOCK_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Line:
    """Time of a source's samples: `base_ns` at `base_sample`, `drift` in parts of one."""

    segment: int
    fs_hz: float
    base_sample: int
    base_ns: float
    drift: float = 0.0
    uncertainty_ns: float = FIRST_UNCERTAINTY_NS
    window_end_ns: float = 0.0
    least_ns: float = float("inf")
    most_ns: float = float("-inf")
    late_windows: int = 0

    def at(self, sample: int) -> float:
        """Time of a sample, nanoseconds."""
        return self.base_ns + (sample - self.base_sample) / self.fs_hz * (1 + self.drift) * NS_PER_S

    def continues(self, group: WaveformGroup) -> bool:
        """Whether a group counts on along this line."""
        return self.fs_hz == group.fs_hz and group.first_sample >= self.base_sample


@dataclass(frozen=True, slots=True)
class AlignState:
    """A line for each source of waveforms, and the sources whose own clock was reported as wrong."""

    lines: Mapping[SourcePath, Line] = field(default_factory=lambda: MappingProxyType(dict[SourcePath, Line]()))
    wrong: frozenset[SourcePath] = frozenset()
    clock: DeviceClock = field(default_factory=DeviceClock)


def arrived(state: AlignState, message: Iterable[Record]) -> tuple[AlignState, tuple[Record, ...]]:
    """What a device sent at once, before its records are aligned: it tells of the device's clock, and whether that was set."""
    told = [r for r in message if r.times.device_ns is not None]
    if not told:
        return state, ()
    offset_ns, newest = min(((_offset(r.times), r) for r in told), key=lambda pair: pair[0])
    before = state.clock
    clock = learn(before, offset_ns, newest.times.gateway_ns)
    state = replace(state, clock=clock)
    if clock.segment == before.segment or before.offset_ns is None or clock.offset_ns is None:
        return state, ()
    times = Times(newest.times.gateway_ns, newest.times.device_ns, newest.times.gateway_ns)
    params = (("shift_ns", before.offset_ns - clock.offset_ns),)
    return state, (DeviceEvent(SourcePath(newest.source.device), EVT_CLOCK_STEP, times, params),)


def _offset(times: Times) -> int:
    return 0 if times.device_ns is None else times.gateway_ns - times.device_ns


def step(state: AlignState, record: Record) -> tuple[AlignState, tuple[Record, ...]]:
    """The record with its corrected time, behind it an event when its device's clock is wrong or has stepped."""
    events: tuple[Record, ...] = ()
    times = record.times
    if isinstance(record, WaveformGroup):
        before = state.lines.get(record.source)
        line = _follow(before, record, _arrival(before, record, state.clock))
        state = AlignState(MappingProxyType({**state.lines, record.source: line}), state.wrong, state.clock)
        corrected_ns, uncertainty_ns = round(line.at(record.first_sample)), round(line.uncertainty_ns)
        times = Times(times.gateway_ns, times.device_ns, corrected_ns, uncertainty_ns, line.segment)
        if before is not None and line.segment != before.segment:
            shift = round(line.at(record.first_sample) - before.at(record.first_sample))
            events = (DeviceEvent(record.source, EVT_CLOCK_STEP, times, (("shift_ns", shift),)),)
        record = replace(record, times=times)
    elif times.corrected_ns is None and isinstance(record, Observation | DeviceEvent | Gap | AlarmCondition):
        record = replace(record, times=_by_clock(times, state.clock))
    state, wrong = _own_clock(state, record.source, times)
    return state, (record, *events, *wrong)


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
    offset_ns = clock.offset_ns
    if times.device_ns is None:
        return replace(times, corrected_ns=times.gateway_ns)
    if offset_ns is None:
        kept_ns = times.gateway_ns - times.device_ns
        uncertainty_ns = kept_ns if 0 < kept_ns <= OLDEST_NS else times.uncertainty_ns
        return replace(times, corrected_ns=times.gateway_ns, uncertainty_ns=uncertainty_ns)
    measured_ns = min(times.device_ns + offset_ns, times.gateway_ns)
    if times.gateway_ns - measured_ns > OLDEST_NS:
        return replace(times, corrected_ns=times.gateway_ns)
    uncertainty_ns = clock.uncertainty_ns(times.gateway_ns)
    return replace(times, corrected_ns=measured_ns, uncertainty_ns=uncertainty_ns, clock_segment=clock.segment)


def _arrival(line: Line | None, group: WaveformGroup, clock: DeviceClock) -> int:
    """When the first sample would have come, had the device not kept it back.

    Samples that come when the line expects them are live, whatever a clock says that may just have been set.
    """
    arrival_ns = group.times.gateway_ns
    if line is not None and line.continues(group) and arrival_ns - line.at(group.first_sample) <= STEP_NS:
        return arrival_ns
    if group.times.device_ns is None or clock.offset_ns is None:
        return arrival_ns
    measured_ns = group.times.device_ns + clock.offset_ns
    return measured_ns if STEP_NS < arrival_ns - measured_ns <= OLDEST_NS else arrival_ns


def _follow(line: Line | None, group: WaveformGroup, arrival: int) -> Line:
    sample = group.first_sample
    if line is None or not line.continues(group):
        segment = 1 if line is None else line.segment + 1
        return Line(segment, group.fs_hz, sample, arrival, window_end_ns=arrival + WINDOW_NS)
    error = arrival - line.at(sample)
    if error < -STEP_NS:
        return Line(line.segment + 1, group.fs_hz, sample, arrival, window_end_ns=arrival + WINDOW_NS)
    least, most = min(line.least_ns, error), max(line.most_ns, error)
    if arrival < line.window_end_ns:
        return replace(line, least_ns=least, most_ns=most)
    late = line.late_windows + 1 if least > STEP_NS else 0
    if late >= LATE_WINDOWS:
        return Line(line.segment + 1, group.fs_hz, sample, arrival, window_end_ns=arrival + WINDOW_NS)
    if late:
        return replace(
            line, least_ns=float("inf"), most_ns=float("-inf"), window_end_ns=arrival + WINDOW_NS, late_windows=late
        )
    drift = min(MAX_DRIFT, max(-MAX_DRIFT, line.drift + DRIFT_GAIN * least / WINDOW_NS))
    spread = min(most, STEP_NS) - least
    return Line(
        line.segment,
        line.fs_hz,
        sample,
        line.at(sample) + PHASE_GAIN * least,
        drift,
        max(LEAST_UNCERTAINTY_NS, abs(least) + spread / 2),
        arrival + WINDOW_NS,
    )
