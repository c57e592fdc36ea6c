"""Give waveforms and readings the time at which they were measured, from sample counts and arrival times.

A device's crystal is steady but not exact; arrivals are exact but late by a jitter that is never negative. So the earliest
arrivals of each window pull the line slowly, and the spread of arrivals states the uncertainty. The device's own clock is
passed on as seen and never used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

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


@dataclass(frozen=True, slots=True)
class AlignState:
    """A line for each source of waveforms, and the sources whose own clock was reported as wrong."""

    lines: Mapping[SourcePath, Line] = field(default_factory=lambda: MappingProxyType(dict[SourcePath, Line]()))
    wrong: frozenset[SourcePath] = frozenset()


def step(state: AlignState, record: Record) -> tuple[AlignState, tuple[Record, ...]]:
    """The record with its corrected time, behind it an event when its device's clock is wrong or has stepped."""
    events: tuple[Record, ...] = ()
    times = record.times
    if isinstance(record, WaveformGroup):
        before = state.lines.get(record.source)
        line = _follow(before, record)
        state = replace(state, lines=MappingProxyType({**state.lines, record.source: line}))
        times = replace(
            times,
            corrected_ns=round(line.at(record.first_sample)),
            uncertainty_ns=round(line.uncertainty_ns),
            clock_segment=line.segment,
        )
        if before is not None and line.segment != before.segment:
            shift = round(line.at(record.first_sample) - before.at(record.first_sample))
            events = (DeviceEvent(record.source, EVT_CLOCK_STEP, times, (("shift_ns", shift),)),)
        record = replace(record, times=times)
    elif times.corrected_ns is None and isinstance(record, Observation | DeviceEvent | Gap | AlarmCondition):
        record = replace(record, times=replace(times, corrected_ns=times.gateway_ns))
    state, wrong = _own_clock(state, record.source, times)
    return state, (record, *events, *wrong)


def _own_clock(state: AlignState, source: SourcePath, times: Times) -> tuple[AlignState, tuple[Record, ...]]:
    if times.device_ns is None:
        return state, ()
    off = times.device_ns - times.gateway_ns
    if abs(off) <= WRONG_CLOCK_NS:
        return (replace(state, wrong=state.wrong - {source}) if source in state.wrong else state), ()
    if source in state.wrong:
        return state, ()
    event = DeviceEvent(source, EVT_CLOCK_WRONG, times, (("device_ns", times.device_ns), ("off_ns", off)))
    return replace(state, wrong=state.wrong | {source}), (event,)


def _follow(line: Line | None, group: WaveformGroup) -> Line:
    arrival, sample = group.times.gateway_ns, group.first_sample
    if line is None or line.fs_hz != group.fs_hz or sample < line.base_sample:
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
