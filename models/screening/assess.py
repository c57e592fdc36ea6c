"""Mark each lead of an ECG group with its quality, and say which technical conditions hold.

The verdicts are those of `models.signal.quality`; here they become the records' words. Other waveforms pass unmarked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from models.screening.alarms import Condition
from models.screening.critical_items import PRIORITIES, Urgency
from models.signal import frames, quality
from models.signal.quality import Verdict
from protocols.nomenclature import ECG_NOISE, LEADS_OFF, SATURATED, SIGNAL_LOW
from protocols.record import AlarmKind, Params, Quality, Scale, SourcePath, WaveformGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

ECG_PREFIX = "MDC_ECG_ELEC_POTL"
MILLIVOLT = {"uV": 1e-3, "mV": 1.0, "V": 1e3, "nV": 1e-6}
MISSING = {kind: int(np.iinfo(kind).min) for kind in ("<i2", "<i4")}  # the raw value of a sample that there is not
MAX_HOLE_S = 2.0  # a hole up to here is missing samples of one stretch; behind a longer one everything begins anew

_WORDS = {
    Verdict.GOOD: Quality.GOOD,
    Verdict.NOISE: Quality.NOISE,
    Verdict.MAINS: Quality.NOISE,
    Verdict.MOTION: Quality.QUESTIONABLE,
    Verdict.BASELINE: Quality.QUESTIONABLE,
    Verdict.FLAT: Quality.FLAT,
    Verdict.SATURATED: Quality.SATURATED,
    Verdict.LEAD_OFF: Quality.LEAD_OFF,
    Verdict.MISSING: Quality.UNUSABLE,
}
_TECHNICAL = (
    (LEADS_OFF, Quality.LEAD_OFF),
    (SATURATED, Quality.SATURATED),
    (SIGNAL_LOW, Quality.FLAT),
)
_NOISY = (Verdict.NOISE, Verdict.MAINS, Verdict.MOTION, Verdict.BASELINE)  # the worst first
UNJUDGEABLE = frozenset({Quality.LEAD_OFF, Quality.SATURATED, Quality.FLAT, Quality.UNUSABLE})


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where a source's unbroken stretch of samples stands."""

    leads: tuple[str, ...]
    fs_hz: float
    next_sample: int
    quality: quality.QualityState


@dataclass(frozen=True, slots=True)
class AssessState:
    """A stretch for each source of ECG."""

    stretches: Mapping[SourcePath, Stretch] = field(
        default_factory=lambda: MappingProxyType(dict[SourcePath, Stretch]())
    )


def is_ecg(group: WaveformGroup) -> bool:
    """Whether the group can be screened: ECG leads in volts at a rate the detectors take."""
    return (
        frames.MIN_FS_HZ <= group.fs_hz <= frames.MAX_FS_HZ
        and all(code.startswith(ECG_PREFIX) for code in group.leads)
        and all(scale.unit in MILLIVOLT for scale in group.scales)
    )


@lru_cache(maxsize=256)
def _scaling(scales: tuple[Scale, ...]) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Gain and offset of each lead in millivolt, (leads, 1)."""
    gain = np.array([s.gain * MILLIVOLT[s.unit] for s in scales])[:, None]
    return gain, np.array([s.offset * MILLIVOLT[s.unit] for s in scales])[:, None]


def millivolt(group: WaveformGroup) -> "NDArray[np.float64]":
    """Samples in millivolt, shape (leads, n); NaN where the raw value is the one kept for missing samples."""
    raw: NDArray[np.integer[Any]] = group.array()
    gain, offset = _scaling(group.scales)
    values: NDArray[np.float64] = raw * gain + offset
    absent = raw == MISSING[group.dtype]
    if absent.any():
        values[absent] = np.nan
    return values


def step(
    state: AssessState, group: WaveformGroup
) -> tuple[AssessState, WaveformGroup, "NDArray[np.float64]", tuple[Condition, ...]]:
    """The group with a quality for each lead, its samples in millivolt, and the technical conditions as they stand after it.

    A quality that the device itself states (a lead-off detector) is kept where it is worse than ours.
    """
    known = state.stretches.get(group.source)
    hole = 0 if known is None else group.first_sample - known.next_sample
    if (
        known is None
        or known.leads != group.leads
        or known.fs_hz != group.fs_hz
        or not 0 <= hole <= MAX_HOLE_S * group.fs_hz
    ):
        known, hole = Stretch(group.leads, group.fs_hz, group.first_sample, quality.begin(len(group.leads))), 0
    samples = millivolt(group)
    unbroken = np.concatenate([np.full((len(group.leads), hole), np.nan), samples], axis=1) if hole else samples
    judged, hops = quality.feed(known.quality, unbroken, group.fs_hz)
    ours = tuple(_WORDS[v] for v in judged.verdicts)
    stated = group.quality or (Quality.GOOD,) * len(group.leads)
    marks = tuple(s if s in UNJUDGEABLE else o for s, o in zip(stated, ours, strict=True))
    stretch = Stretch(group.leads, group.fs_hz, group.end_sample, judged)
    state = AssessState(MappingProxyType({**state.stretches, group.source: stretch}))
    marked = group.marked(marks)
    return state, marked, samples, tuple(_conditions(marked, judged.verdicts)) if hops or stated != ours else ()


def _conditions(group: WaveformGroup, verdicts: tuple[Verdict, ...]) -> list[Condition]:
    off = {
        code: [lead for lead, q in zip(group.leads, group.quality, strict=True) if q is mark]
        for code, mark in _TECHNICAL
    }
    found = [_condition(group, code, leads) for code, leads in off.items()]
    judged = [v if q not in UNJUDGEABLE else Verdict.GOOD for v, q in zip(verdicts, group.quality, strict=True)]
    reason = next((v for v in _NOISY if v in judged), None)
    noisy = [lead for lead, v in zip(group.leads, judged, strict=True) if v is reason]
    return [*found, _condition(group, ECG_NOISE, noisy, (("reason", str(reason)),) if reason else ())]


def _condition(group: WaveformGroup, code: str, leads: list[str], why: Params = ()) -> Condition:
    nothing_left = all(q in UNJUDGEABLE for q in group.quality)
    now = group.time_of(group.end_sample - 1)
    return Condition(
        source=group.source,
        code=code,
        present=bool(leads),
        priority=PRIORITIES[Urgency.UNWATCHED if nothing_left else Urgency.IMPAIRED],
        kind=AlarmKind.TECHNICAL,
        onset_ns=now,
        at_ns=now,
        deciding_sample=group.end_sample - 1,
        params=(("leads", " ".join(leads)), *why),
        rule="quality",
    )
