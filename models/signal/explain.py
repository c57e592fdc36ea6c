"""What a score of lethal rhythm means: how likely it is right, and what was seen in the signal that led to it.

A tree's output is followed along its path: at each node the value to be expected changes, and the change is owed to the
feature that was asked (Saabas 2014; Palczewska et al., Integration of Reusable Systems, 2014). The changes add up to the
output without a remainder. They are told in groups of features that a person sees as one thing. The probability is Platt's
(Advances in Large Margin Classifiers, 1999): two constants, fitted to scores of records that the trees had not seen. Both
come from models/weights/lethal-meaning.json, made by models/training/meaning.py.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.card import WeightsError, checked
from models.signal.lethal import FEATURES, LethalScore, Window
from models.signal.trees import Trees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LETHAL = 0  # the output that is explained
_EDGE = 1e-4  # scores nearer to 0 and 1 than this are taken for this: no record teaches how sure they are


@dataclass(frozen=True, slots=True)
class Group:
    """Features that a person sees as one thing; the one whose value is told, its unit, and what it is called below and from a limit.

    The limit lies halfway between the medians of lethal and other windows (models/training/meaning.py); one word needs none.
    """

    shown: str
    unit: str
    below: str
    above: str
    features: tuple[str, ...]


GROUPS = (
    Group(
        "peak_hz", "Hz", "waves", "waves",
        (*(name for name in FEATURES if name.startswith("share_")), "peak_hz", "centroid_hz", "period_s", "crossings",
         "zero_crossings", "auto_short_lag", "auto_long_lag"),
    ),
    Group("leakage", "1", "smooth", "ragged", ("leakage", "peak_share", "spread_hz")),
    Group(
        "slope_kurtosis", "1", "blunt", "sharp",
        ("slope_kurtosis", "curve_kurtosis", "fast_kurtosis", "fast_share", "slope_peak", "kurtosis", "skewness"),
    ),
    Group("near_zero", "1", "restless", "rests", ("near_zero", "above_half", "flat", "fast_near_zero")),
    Group("auto_short", "1", "irregular", "regular", ("auto_short", "auto_long", "steady")),
    Group("log_range", "mV", "size", "size", ("log_rms", "log_range")),
    Group("baseline_share", "1", "drift", "drift", ("baseline_share",)),
)  # fmt: skip
BASE = "base"
_LEVEL = 1e-9  # a rise of the log-odds below which the curve's slope stands for the chord's
_GROUP = np.array([next(i for i, g in enumerate(GROUPS) if name in g.features) for name in FEATURES])
_RANGE, _SHOWN = FEATURES.index("log_range"), [FEATURES.index(g.shown) for g in GROUPS]


@dataclass(frozen=True, eq=False)
class Meaning:
    """`slope`, `shift`: from a score's log-odds to those of being right. `expected`: of each node of the trees (trees, nodes).

    `limits`: one a group. `weights`: the trees' SHA-256.
    """

    version: str
    sha256: str
    weights: str
    slope: float
    shift: float
    expected: "Floats"
    limits: tuple[float, ...]

    def chance(self, score: float) -> float:
        """Probability that VF, flutter or VT is there, of the lethal score."""
        return 1 / (1 + math.exp(-(self.slope * log_odds(score) + self.shift)))


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was seen: its code, what it added to the score, the value read off, in `unit` (UCUM)."""

    code: str
    weight: float
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Explained:
    """`chance`: that the score is right. `weighed`: what led to it, largest first; with `base` all weights add up to the score."""

    chance: float
    weighed: tuple[Weighed, ...]


def log_odds(score: float) -> float:
    """Of a score of 0 to 1, kept off both ends."""
    near = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(near / (1 - near))


def explain(score: LethalScore, trees: Trees, meaning: Meaning) -> Explained:
    """What led to the score of the last hops; ValueError where no window was judged."""
    parts = [(window, len(score.windows) * len(window.leads)) for window in score.windows]
    total, base = np.zeros(len(GROUPS)), 0.0
    for window, share in parts:
        start, added = window_shares(window, trees, meaning)
        base += start * len(window.leads) / share
        total += added.sum(axis=0) / share
    heaviest, row = heaviest_window(score.windows)
    seen = score.windows[heaviest].values[row, _SHOWN]
    weighed = [
        Weighed(
            group.above if value >= limit else group.below,
            float(weight),
            float(10**value) if group.shown == "log_range" else float(value),
            group.unit,
        )
        for group, limit, weight, value in zip(GROUPS, meaning.limits, total, seen, strict=True)
    ]
    weighed.sort(key=lambda one: -one.weight)
    return Explained(meaning.chance(score.lethal), (Weighed(BASE, base, None, "1"), *weighed))


def window_shares(window: Window, trees: Trees, meaning: Meaning) -> "tuple[float, Floats]":
    """The score that any window starts from, and what each group adds to it on each lead, shape (leads, groups).

    What a path adds to the log-odds is told in parts of the score by one factor a window. A line too flat to be lethal has the
    score 0 by rule: that takes off all that it started from.
    """
    start, added = contributions(trees, meaning.expected, window.values)
    low = 1 / (1 + math.exp(-start))
    rise: Floats = added.sum(axis=1)
    high: Floats = 1 / (1 + np.exp(-(start + rise)))
    level = np.abs(rise) <= _LEVEL
    factor: Floats = np.where(level, low * (1 - low), (high - low) / np.where(level, 1, rise))
    by_feature: Floats = added * factor[:, None]
    flat = ~window.waves
    by_feature[flat] = 0
    by_feature[flat, _RANGE] = -low
    grouped = np.zeros((len(by_feature), len(GROUPS)))
    for feature, group in enumerate(_GROUP):
        grouped[:, group] += by_feature[:, feature]
    return low, grouped


def contributions(trees: Trees, expected: "Floats", values: "Floats") -> "tuple[float, Floats]":
    """Log-odds that any window starts from, and what each feature adds to them, shape (rows, features); exact but for rounding."""
    feature, threshold = trees.feature[LETHAL], trees.threshold[LETHAL]
    count, nodes = feature.shape
    worth = np.concatenate([expected, trees.leaf[LETHAL]], axis=1)  # of the whole tree, leaves behind the nodes
    rows, each = np.arange(len(values), dtype=np.intp)[:, None], np.arange(count, dtype=np.intp)[None, :]
    node = np.zeros((len(values), count), np.intp)
    added = np.zeros((len(values), len(FEATURES)))
    for _ in range((nodes + 1).bit_length() - 1):
        asked = feature[each, node]
        child = 2 * node + 1 + (values[rows, asked] > threshold[each, node])
        np.add.at(added, (np.broadcast_to(rows, asked.shape), asked), worth[each, child] - worth[each, node])
        node = child
    return float(trees.bias[LETHAL] + expected[:, 0].sum()), added


def heaviest_window(windows: Sequence[Window]) -> tuple[int, int]:
    """Which of the windows, oldest first, and which of its leads has the largest score; of equal ones the newest."""
    if not windows:
        msg = "no window was judged: expected at least one"
        raise ValueError(msg)
    return max(
        ((i, row) for i, window in enumerate(windows) for row in range(len(window.leads))),
        key=lambda at: (float(windows[at[0]].scores[at[1]]), at[0], -at[1]),
    )


def parse(data: bytes, expected_sha256: str, trees: Trees) -> Meaning:
    """Read a table; WeightsError when its hash is not the expected one, or when it belongs to other trees."""
    table = json.loads(checked(data, expected_sha256))
    if table["weights"] != trees.sha256:
        msg = f"the meaning of scores was made for weights {table['weights']}, not for {trees.sha256}: make it again"
        raise WeightsError(msg)
    return Meaning(
        version=str(table["version"]),
        sha256=expected_sha256,
        weights=str(table["weights"]),
        slope=float(table["slope"]),
        shift=float(table["shift"]),
        expected=np.array(table["expected"], np.float64),
        limits=tuple(float(table["limits"][group.shown]) for group in GROUPS),
    )
