"""Whether the limb leads of a 12-lead recording are on the limbs they are named for, and if not, which were swapped.

For each exchange of the arm and leg electrodes it is undone, and what comes out is judged: does the frontal plane agree with what V1-V6
let expect and with each of them (they hardly move with a limb electrode), do P, QRS and T point where they point in a sinus rhythm, is P taller in II than in I and does
III begin up and end down (Abdollah & Milliken, J Electrocardiol 30:347, 1997, for the left arm and leg). A foot that stands in for an arm makes one
limb lead flat. Where there is no P wave, with a wide (paced) complex or a heart on the right, the answer is that it is not sure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from models.signal import card
from models.signal.delineate import Beat
from models.signal.delineate.weights import fold_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Swap(StrEnum):
    """What hangs where: `ra-la` is the two arms exchanged. The turns: first cable on the second limb, second on the third, third on the first."""

    NONE = "none"
    RA_LA = "ra-la"
    RA_LL = "ra-ll"
    LA_LL = "la-ll"
    RA_LA_LL = "ra-la-ll"
    RA_LL_LA = "ra-ll-la"
    RA_RL = "ra-rl"
    LA_RL = "la-rl"
    ARMS_LEGS = "arms-legs"


class Doubt(StrEnum):
    """Why an answer is not sure."""

    FEW_BEATS = "few-beats"
    INCONSISTENT = "inconsistent"  # III is not II - I: not from three electrodes
    NO_P = "no-p"
    WIDE_QRS = "wide-qrs"
    RIGHT_HEART = "right-heart"


# Which limb (0 right arm, 1 left arm, 2 left leg) the cables RA, LA and LL hang on.
ON: Mapping[Swap, tuple[int, int, int]] = MappingProxyType(
    {
        Swap.NONE: (0, 1, 2),
        Swap.RA_LA: (1, 0, 2),
        Swap.RA_LL: (2, 1, 0),
        Swap.LA_LL: (0, 2, 1),
        Swap.RA_LA_LL: (1, 2, 0),
        Swap.RA_LL_LA: (2, 0, 1),
    }
)
FLAT: Mapping[int, Swap] = MappingProxyType({0: Swap.ARMS_LEGS, 1: Swap.RA_RL, 2: Swap.LA_RL})  # by lead I, II, III
LEADS = 12
LEAST_BEATS = 3
LIMIT = 0.5  # for an exchange that moves the right arm
LA_LL_LIMIT = 0.8  # left arm and left leg are told by the P wave more than by all else: only when it is clear
FLAT_SHARE = 0.12  # of the largest limb lead: between the two legs there are a few percent
WIDE_QRS_S = 0.15
LEAST_CHEST = 0.05  # of the frontal wave: what a chest lead of noise alone is held to
UNLIKE = 0.25  # rms of III - (II - I) as a share of the limb leads
P_FULL_MV, T_FULL_MV = (
    0.12,
    0.25,
)  # root of summed squares from which the direction of a P or T wave says all that it can
POINTS = MappingProxyType({"qrs": 16, "p": 10, "t": 12})


@dataclass(frozen=True, eq=False)
class Shapes:
    """Medians over the beats, millivolt, (12, points): QRS against PR, P without the line between its ends, T against PR; what else is asked."""

    qrs: "Floats"
    p: "Floats"
    t: "Floats"
    beats: int
    p_share: float
    qrs_s: float


class Table(TypedDict):
    """What stands in the file."""

    version: str
    records: list[str]
    frontal: dict[str, list[list[float]]]
    factors: list[float]


@dataclass(frozen=True, eq=False)
class Weights:
    """`frontal`: limb potentials from V1-V6 for each wave, (3, 6); `factors`: of the features."""

    version: str
    records: frozenset[str]
    frontal: Mapping[str, "Floats"]
    factors: "Floats"


@dataclass(frozen=True, slots=True)
class Finding:
    """`swap` with its probability among the exchanges, each as likely before; not `sure` with the doubts, then nothing follows from it."""

    swap: Swap
    probability: float
    sure: bool
    doubts: tuple[Doubt, ...] = ()


def read(table: Table) -> Weights:
    """Weights from their table."""
    frontal = MappingProxyType({name: np.array(table["frontal"][name]) for name in POINTS})
    return Weights(table["version"], frozenset(table["records"]), frontal, np.array(table["factors"]))


def _file(name: str, expected_sha256: str) -> Weights:
    table: Table = json.loads(card.checked(card.read(name), expected_sha256))
    return read(table)


@lru_cache(maxsize=1)
def load() -> Weights:
    """The weights that are shipped."""
    return _file("leads.json", card.of("leads").sha256["leads.json"])


def without(record: str) -> Weights:
    """Weights that never saw this record of ludb. For figures only."""
    shipped = load()
    if record not in shipped.records:
        return shipped
    fold = f"leads-{fold_of(record)}.json"
    return _file(f"folds/{fold}", card.of_folds()[fold])


def _between(samples: "Floats", first: float, last: float, points: int) -> "Floats":
    at = np.linspace(first, last, points)
    whole = np.clip(np.floor(at).astype(np.intp), 0, samples.shape[1] - 2)
    part = np.clip(at - whole, 0, 1)
    return samples[:, whole] * (1 - part) + samples[:, whole + 1] * part


def _enough(beat: Beat) -> bool:
    """V1-V6 and two limb leads show a complex; the third may be flat, and what is made of it small."""
    shown = {one.lead for one in beat.leads}
    return shown >= set(range(6, LEADS)) and len(shown & {0, 1, 2}) > 1


def shapes(samples: "Floats", beats: Sequence[Beat], fs_hz: float) -> Shapes:
    """Median waves of the beats that all leads show; samples (12, n) in millivolt, beats as `delineate` gives them."""
    qrs: list[Floats] = []
    p: list[Floats] = []
    t: list[Floats] = []
    widths: list[float] = []
    line = np.linspace(0, 1, POINTS["p"])
    for beat in beats:
        on, off = beat.qrs.onset, beat.qrs.offset
        first, last = max(0, round(on - 0.30 * fs_hz)), min(samples.shape[1], round(off + 0.02 * fs_hz))
        if not _enough(beat) or not np.isfinite(samples[:, first:last]).all() or on < 0.02 * fs_hz:
            continue
        level = samples[:, round(on - 0.016 * fs_hz) : max(1, round(on - 0.002 * fs_hz))].mean(axis=1, keepdims=True)
        qrs.append(_between(samples, on - 0.01 * fs_hz, off + 0.01 * fs_hz, POINTS["qrs"]) - level)
        widths.append((off - on) / fs_hz)
        if beat.p is not None:
            wave = _between(samples, beat.p.onset, beat.p.offset, POINTS["p"])
            p.append(wave - (wave[:, :1] * (1 - line) + wave[:, -1:] * line))
        if beat.t is not None:
            wave = _between(samples, off + 0.06 * fs_hz, beat.t.offset, POINTS["t"]) - level
            if np.isfinite(wave).all():
                t.append(wave)

    def middle(waves: "list[Floats]", name: str) -> "Floats":
        return np.median(np.stack(waves), axis=0) if len(waves) > 1 else np.zeros((LEADS, POINTS[name]))

    share = len(p) / max(1, len(qrs))
    width = float(np.median(widths)) if widths else 0.0
    return Shapes(middle(qrs, "qrs"), middle(p, "p"), middle(t, "t"), len(qrs), share, width)


def potentials(leads: "Floats") -> "Floats":
    """Potentials of right arm, left arm and left leg about their mean, from leads I and II in the first two rows."""
    one, two = leads[0], leads[1]
    return np.stack([-(one + two) / 3, (2 * one - two) / 3, (2 * two - one) / 3])


def _plane(limbs: "Floats") -> "Floats":
    """The frontal plane, to the left and down, (2, points)."""
    return np.stack([limbs[1] - limbs[0], ((limbs[2] - limbs[0]) + (limbs[2] - limbs[1])) / np.sqrt(3)])


def _direction(plane: "Floats", most: int) -> "Floats":
    """Cosine and sine of the wave's mean angle in the frontal plane, up to `most` times the angle, as far as it has one direction."""
    x, y = plane
    held = np.hypot(x.mean(), y.mean()) / (np.sqrt((x * x + y * y).mean()) + 1e-6)
    times = np.arange(1, most + 1) * np.arctan2(y.mean(), x.mean())
    return held * np.column_stack([np.cos(times), np.sin(times)]).ravel()


def _alike(plane: "Floats", chest: "Floats") -> "Floats":
    """How either axis of the frontal plane runs with each of V1-V6, -1 to 1, twelve numbers; a small lead says little."""
    size = np.sqrt((plane * plane).sum()) + 1e-6
    return ((plane @ chest.T) / size / (np.sqrt((chest * chest).sum(axis=1)) + LEAST_CHEST * size)).ravel()


def features(seen: Shapes, swap: Swap, frontal: "Mapping[str, Floats]") -> "Floats":
    """How the recording looks with an exchange undone."""
    undo = np.argsort(ON[swap])
    out: list[Floats] = []
    for name, wave, full in (("qrs", seen.qrs, 0.0), ("p", seen.p, P_FULL_MV), ("t", seen.t, T_FULL_MV)):
        limbs = potentials(wave)[undo]
        size = float(np.sqrt((limbs * limbs).sum()))
        says = min(1.0, size / full) if full else 1.0
        expected = frontal[name] @ wave[6:]
        agreed = (limbs * expected).sum() / (size * np.sqrt((expected * expected).sum()) + 1e-6)
        plane = _plane(limbs)
        out += [np.array([says * agreed]), says * _direction(plane, 2), says * _alike(plane, wave[6:])]
        if name == "p":
            one, two, three = limbs[1] - limbs[0], limbs[2] - limbs[0], limbs[2] - limbs[1]
            turn = three[-4:].mean() - three[:4].mean()
            out.append(says / (size + 1e-6) * np.array([one.max() - two.max(), three.mean(), turn, three[5:].max()]))
    return np.concatenate(out)


def probabilities(seen: Shapes, weights: Weights) -> dict[Swap, float]:
    """Of each exchange of the three electrodes, all as likely before."""
    score = np.array([features(seen, swap, weights.frontal) @ weights.factors for swap in ON])
    chance = np.exp(score - score.max())
    chance /= chance.sum()
    return {swap: float(c) for swap, c in zip(ON, chance, strict=True)}


def _flat(seen: Shapes) -> Swap | None:
    """The exchange with the right leg that makes one of I, II and III flat, if one is."""
    every = np.concatenate([seen.qrs[:3], seen.p[:3], seen.t[:3]], axis=1)
    size, span = np.sqrt((every * every).mean(axis=1)), np.ptp(seen.qrs[:3], axis=1)
    least = int(size.argmin())
    flat = size[least] < FLAT_SHARE * size.max() and span[least] < FLAT_SHARE * span.max()
    return FLAT[least] if flat and span.max() > 0 else None


def _doubts(seen: Shapes) -> tuple[Doubt, ...]:
    limbs = np.concatenate([seen.qrs[:3], seen.t[:3]], axis=1)
    apart = limbs[2] - (limbs[1] - limbs[0])
    area = seen.qrs.mean(axis=1)
    reach = np.ptp(seen.qrs[6:], axis=1)
    right = area[10] < 0 and area[11] < 0 and reach[5] < reach[:3].max() / 2 and area[0] < 0
    return tuple(
        doubt
        for doubt, holds in (
            (Doubt.INCONSISTENT, (apart * apart).mean() > UNLIKE**2 * (limbs * limbs).mean()),
            (Doubt.NO_P, seen.p_share < 0.5),
            (Doubt.WIDE_QRS, seen.qrs_s > WIDE_QRS_S),
            (Doubt.RIGHT_HEART, right),
        )
        if holds
    )


def judge(samples: "Floats", beats: Sequence[Beat], fs_hz: float, weights: Weights) -> Finding:
    """Judge a recording of some seconds, shape (12, n) in millivolt in the order I, II, III, aVR, aVL, aVF, V1 to V6."""
    if samples.shape[0] != LEADS:
        msg = f"{samples.shape[0]} leads: expected the 12 of a standard recording"
        raise ValueError(msg)
    seen = shapes(samples, beats, fs_hz)
    if seen.beats < LEAST_BEATS:
        return Finding(Swap.NONE, 0.0, sure=False, doubts=(Doubt.FEW_BEATS,))
    doubts = _doubts(seen)
    flat = _flat(seen)
    if flat is not None:
        return Finding(flat, 1.0 - FLAT_SHARE, sure=Doubt.INCONSISTENT not in doubts, doubts=doubts)
    chance = probabilities(seen, weights)
    swap = _named(chance)
    return Finding(swap, chance[swap], sure=not doubts, doubts=doubts)


def _named(chance: Mapping[Swap, float]) -> Swap:
    if chance[Swap.NONE] + chance[Swap.LA_LL] < LIMIT:
        return max((s for s in chance if s not in (Swap.NONE, Swap.LA_LL)), key=lambda s: chance[s])
    return Swap.LA_LL if chance[Swap.LA_LL] >= LA_LL_LIMIT else Swap.NONE
