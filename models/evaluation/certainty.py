"""How sure a number is: intervals over records, curves over thresholds, and whether a stated confidence is kept.

Records are drawn, not beats or seconds: those of one patient are alike, and an interval over them would be far too narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 2000
_BINS = 10


def interval(
    per_record: "Floats", value: "Callable[[Floats], float]", *, percent: float = 95, seed: int = 57
) -> tuple[float, float]:
    """Bootstrap interval of `value(sum over records)`; `per_record`: counts, shape (records, kinds of counts).

    `value` gives NaN for a draw that says nothing (no such beat in any record drawn); those draws are left out.
    """
    rows = np.asarray(per_record, np.float64)
    chance = np.random.default_rng(seed)
    drawn = chance.integers(0, len(rows), (DRAWS, len(rows)))
    times = np.zeros((DRAWS, len(rows)))
    np.add.at(times, (np.arange(DRAWS)[:, None], drawn), 1)
    values = np.array([value(sums) for sums in times @ rows])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, [(100 - percent) / 2, (100 + percent) / 2])
    return float(low), float(high)


def average(values: Sequence[float]) -> float:
    """Mean over records of what each gives (EC57's average statistics); records that say nothing (NaN) are left out."""
    said = [v for v in values if np.isfinite(v)]
    return sum(said) / len(said) if said else float("nan")


@dataclass(frozen=True, eq=False)
class Roc:
    """`limits`: descending thresholds; at each, the share of positives and of negatives at or above it; area under the curve."""

    limits: "Floats"
    sensitivity: "Floats"
    false_positive: "Floats"
    area: float


def roc(scores: "Floats", positive: "NDArray[np.bool_]") -> Roc:
    """ROC of scores, shape (n,); equal scores are one threshold. ValueError when one side is empty."""
    if not positive.any() or positive.all():
        msg = f"ROC of {int(positive.sum())} positives among {len(positive)}: expected some of each"
        raise ValueError(msg)
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found, wrong = np.cumsum(truth)[last], np.cumsum(~truth)[last]
    sensitivity = np.concatenate([[0.0], found / found[-1]])
    false_positive = np.concatenate([[0.0], wrong / wrong[-1]])
    area = float(np.sum(np.diff(false_positive) * (sensitivity[1:] + sensitivity[:-1]) / 2))
    return Roc(np.concatenate([[np.inf], ranked[last]]), sensitivity, false_positive, area)


@dataclass(frozen=True, eq=False)
class Calibration:
    """For each tenth of stated confidence: how many findings, what they stated on the mean, what share was right."""

    n: "NDArray[np.int64]"
    stated: "Floats"
    right: "Floats"

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of stated and right, weighted by n."""
        some = self.n > 0
        return float(np.sum(self.n[some] * np.abs(self.stated[some] - self.right[some])) / self.n.sum())


def calibration(confidence: "Floats", right: "NDArray[np.bool_]") -> Calibration:
    """Compare confidences of 0 to 1, shape (n,), with whether each finding was right."""
    bins = np.minimum((np.asarray(confidence) * _BINS).astype(int), _BINS - 1)
    n = np.bincount(bins, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        stated = np.bincount(bins, weights=confidence, minlength=_BINS) / n
        share = np.bincount(bins, weights=right, minlength=_BINS) / n
    return Calibration(n, stated, share)
