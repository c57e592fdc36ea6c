"""The pulse beside an ECG: what a device's own plethysmogram and arterial pressure showed in the last seconds.

Each of these waves is followed by `models.signal.vitals.pulse`; kept are the times of its pulses, whether it can be used, and since when.
What is concluded from them belongs to `fusion`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.screening.assess import MAX_HOLE_S, MISSING, UNJUDGEABLE
from models.signal.vitals import pulse, wave
from models.signal.vitals.wave import Fault
from protocols.nomenclature import ART_WAVE, PLETH
from protocols.record import NS_PER_S, SourcePath, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESSURE_UNITS = frozenset({"mm[Hg]", "mmHg"})
KEPT_NS = 20 * NS_PER_S
FRESH_NS = 2 * NS_PER_S  # what was searched for pulses longer ago than that says nothing of now
MOST_WAVES = 4  # of a device; a monitor has one plethysmogram and two arterial lines at most


@dataclass(frozen=True, slots=True)
class Pulsing:
    """A wave that can be used: times of its pulses (ns), up to where they were searched, their rate, and how alike they look.

    `uncertainty_ns`: of those times. `device`: whose wave it is, where that is not the ECG's own.
    """

    code: str
    beats: tuple[int, ...]
    judged_ns: int
    rate_per_min: float
    alike: float
    uncertainty_ns: int = 0
    device: str = ""


@dataclass(frozen=True, eq=False)
class Followed:
    """One wave's unbroken stretch. `pulsing`: None while it cannot be used, by `fault` at `judged_ns` (0 before anything was judged)."""

    fs_hz: float
    base: int
    next_sample: int
    state: pulse.PulseState
    end_ns: int
    beats: tuple[int, ...] = ()
    pulsing: Pulsing | None = None
    fault: Fault | None = None
    judged_ns: int = 0


@dataclass(frozen=True, slots=True)
class RecentState:
    """The waves of a device by source and code, at most `MOST_WAVES`."""

    waves: Mapping[tuple[SourcePath, str], Followed] = field(
        default_factory=lambda: MappingProxyType(dict[tuple[SourcePath, str], Followed]())
    )


def step(state: RecentState, group: WaveformGroup) -> RecentState:
    """Take an aligned group of any waveform; those without a pulse change nothing."""
    for row, code in enumerate(group.leads):
        if not _pulses(group, row):
            continue
        followed = _follow(state.waves.get((group.source, code)), group, row)
        waves = {**state.waves, (group.source, code): followed}
        if len(waves) > MOST_WAVES:
            waves.pop(min(waves, key=lambda key: waves[key].end_ns))
        state = RecentState(MappingProxyType(waves))
    return state


def pulsing(state: RecentState) -> tuple[Pulsing, ...]:
    """The waves that can be used at their own time."""
    return tuple(followed.pulsing for followed in state.waves.values() if followed.pulsing is not None)


def usable(waves: tuple[Pulsing, ...], at_ns: int) -> tuple[Pulsing, ...]:
    """Those of them that can be used at a time; one that is late, or ahead of it by as much, cannot."""
    return tuple(one for one in waves if abs(at_ns - one.judged_ns) <= FRESH_NS)


def stepped(state: RecentState, by_ns: int) -> RecentState:
    """The gateway's clock was set forward by `by_ns`."""
    moved: dict[tuple[SourcePath, str], Followed] = {}
    for key, one in state.waves.items():
        beats = tuple(at + by_ns for at in one.beats)
        seen = one.pulsing and replace(one.pulsing, beats=beats, judged_ns=one.pulsing.judged_ns + by_ns)
        judged_ns = one.judged_ns + by_ns if one.judged_ns else 0
        moved[key] = replace(one, beats=beats, end_ns=one.end_ns + by_ns, pulsing=seen, judged_ns=judged_ns)
    return RecentState(MappingProxyType(moved))


def _pulses(group: WaveformGroup, row: int) -> bool:
    """Whether a lead shows pulses, at a rate and in a unit that can be followed."""
    code = group.leads[row]
    known = code == PLETH or (code == ART_WAVE and group.scales[row].unit in PRESSURE_UNITS)
    return known and wave.MIN_FS_HZ <= group.fs_hz <= wave.MAX_FS_HZ


def _follow(known: Followed | None, group: WaveformGroup, row: int) -> Followed:
    hole = 0 if known is None else group.first_sample - known.next_sample
    if known is None or known.fs_hz != group.fs_hz or not 0 <= hole <= MAX_HOLE_S * group.fs_hz:
        least = pulse.LEAST_MMHG if group.leads[row] == ART_WAVE else 0.0
        began = pulse.begin(group.fs_hz, least)
        known = Followed(group.fs_hz, group.first_sample, group.first_sample, began, group.times.best_ns)
        hole = 0
    samples = np.concatenate([np.full(hole, np.nan), samples_of(group, row)])
    state, findings = pulse.feed(known.state, samples, group.fs_hz)
    beats, seen, fault, judged_ns = known.beats, known.pulsing, known.fault, known.judged_ns
    uncertainty_ns = group.times.uncertainty_ns or 0
    for finding in findings:
        judged_ns = group.time_of(known.base + finding.judged)
        found = {*beats, *(group.time_of(known.base + at) for at in finding.pulses)}
        beats = tuple(sorted(at for at in found if at > judged_ns - KEPT_NS))
        rate = finding.rate_per_min
        fault = finding.fault
        believed = finding.fault is None and rate is not None
        if believed:
            seen = Pulsing(group.leads[row], beats, judged_ns, rate or 0.0, finding.alike, uncertainty_ns)
        else:
            seen = None
    end_ns = group.time_of(group.end_sample)
    return Followed(known.fs_hz, known.base, group.end_sample, state, end_ns, beats, seen, fault, judged_ns)


def samples_of(group: WaveformGroup, row: int) -> "NDArray[np.float64]":
    """Samples of one lead in its unit, NaN where there is none or the device says that it cannot be used."""
    raw = group.array()[row]
    if group.quality and group.quality[row] in UNJUDGEABLE:
        return np.full(len(raw), np.nan)
    scale = group.scales[row]
    return np.where(raw == MISSING[group.dtype], np.nan, raw * scale.gain + scale.offset)
