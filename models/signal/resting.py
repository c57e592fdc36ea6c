"""Read a resting ECG of up to twelve leads as a whole: beats, intervals, ST levels, and whether the limb leads hang where they should.

Ten seconds are too few for a detector that learns a patient's beats, so these are found by rules in each lead, and one is what most leads see.
Intervals are medians over the beats. ST levels are experimental: no reference has judged them yet.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from models.signal import delineate, frames, leads, weights
from models.signal.monitor import find_beats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.signal.delineate import Beat

    Floats = NDArray[np.float64]

ORDER = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
LEADS_AGREE = 5  # that many must see a beat
SAME_BEAT_S = 0.12
LEAST_BEATS = 3
P_SHARE = 0.5  # of the beats: with fewer P waves there is no PR interval to speak of
LONGEST_S = 60.0
LEAST_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Medians over `beats`; None where there is nothing to measure. `st_mv`: by lead's name, 60 ms behind the J point against PR.

    `swap`: of twelve leads only.
    """

    beats: int
    rate_per_min: float | None
    p_ms: float | None
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None
    qtc_bazett_ms: float | None
    qtc_fridericia_ms: float | None
    st_mv: "Mapping[str, float]"
    swap: leads.Finding | None


def beats_of_all(samples: "Floats", fs_hz: float) -> tuple[int, ...]:
    """R waves that the rules of the detector find in most leads, shape (leads, n) in millivolt: the median of the leads for each."""
    models = weights.by_rules()
    rest = np.repeat(samples[:, -1:], round(2 * fs_hz), axis=1)  # so that the last beat is decided
    found = sorted(
        (at, i) for i, lead in enumerate(samples) for at in find_beats(np.concatenate([lead, rest[i]]), fs_hz, models)
    )
    groups: list[list[tuple[int, int]]] = []
    for at, lead in found:
        if groups and at - groups[-1][-1][0] <= SAME_BEAT_S * fs_hz:
            groups[-1].append((at, lead))
        else:
            groups.append([(at, lead)])
    need = min(LEADS_AGREE, (len(samples) + 1) // 2)
    return tuple(round(float(np.median([at for at, _ in g]))) for g in groups if len({lead for _, lead in g}) >= need)


def read(samples: "Floats", names: "Sequence[str]", fs_hz: float) -> Reading | None:
    """Read a recording, shape (leads, n) in millivolt, the leads by their names (`ORDER`, in any order); of a longer one its first minute.

    None where it cannot be read: less than five seconds, fewer than three beats, none of the twelve leads, or a rate outside 100-1000 Hz.
    """
    known = [(ORDER.index(name.upper()), row) for row, name in enumerate(names) if name.upper() in ORDER]
    if not known or not frames.MIN_FS_HZ <= fs_hz <= frames.MAX_FS_HZ or samples.shape[1] < LEAST_S * fs_hz:
        return None
    places, rows = [place for place, _ in sorted(known)], [row for _, row in sorted(known)]
    ordered = np.asarray(samples, np.float64)[rows, : round(LONGEST_S * fs_hz)]
    beats = delineate.delineate(ordered, beats_of_all(ordered, fs_hz), fs_hz, delineate.load())
    if len(beats) < LEAST_BEATS:
        return None
    rr_s = _middle(((b.r - a.r) / fs_hz for a, b in pairwise(beats)), 1)
    with_p = [beat for beat in beats if beat.p is not None]
    has_p = len(with_p) >= P_SHARE * len(beats)
    qt_s = _middle(beat.qt_s for beat in beats)
    return Reading(
        beats=len(beats),
        rate_per_min=60 / rr_s if rr_s else None,
        p_ms=_ms((b.p.offset - b.p.onset) / fs_hz for b in with_p if b.p) if has_p else None,
        pr_ms=_ms((b.qrs.onset - b.p.onset) / fs_hz for b in with_p if b.p) if has_p else None,
        qrs_ms=_ms((b.qrs.offset - b.qrs.onset) / fs_hz for b in beats),
        qt_ms=qt_s and 1000 * qt_s,
        qtc_bazett_ms=1000 * qt_s / rr_s ** (1 / 2) if qt_s and rr_s else None,
        qtc_fridericia_ms=1000 * qt_s / rr_s ** (1 / 3) if qt_s and rr_s else None,
        st_mv=_st(beats, [ORDER[place] for place in places]),
        swap=leads.judge(ordered, beats, fs_hz, leads.load())
        if len(places) == len(set(places)) == len(ORDER)
        else None,
    )


def _st(beats: "Sequence[Beat]", names: "Sequence[str]") -> "Mapping[str, float]":
    """By lead, of those in which three beats at least have a level."""
    levels: dict[str, list[float]] = {}
    for beat in beats:
        for one in beat.leads:
            if one.st_mv is not None:
                levels.setdefault(names[one.lead], []).append(one.st_mv[0])
    return {name: median(levels[name]) for name in names if len(levels.get(name, ())) >= LEAST_BEATS}


def _middle(values: "Iterable[float | None]", least: int = LEAST_BEATS) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if len(known) >= least else None


def _ms(values_s: "Iterable[float | None]") -> float | None:
    middle = _middle(values_s)
    return None if middle is None else 1000 * middle
