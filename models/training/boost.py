"""Gradient-boosted trees of fixed depth for a yes-or-no question, small enough to read and free of any dependency but numpy.

Newton boosting on the logistic loss with binned features (Friedman, Ann Stat 29:1189, 2001; Chen & Guestrin, KDD 2016, eq. 7).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BINS = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """Depth, number and pace of the trees; `ridge` and `least_weight` keep leaves of few samples small.

    `asked`: share of the features that a tree may ask, `seen`: share of the rows that it sees, both drawn anew for each: trees that differ
    do not lean on one feature of few patients (Friedman, Comput Stat Data Anal 38:367, 2002).
    """

    depth: int = 3
    trees: int = 100
    rate: float = 0.1
    ridge: float = 5.0
    least_weight: float = 20.0
    asked: float = 1.0
    seen: float = 1.0
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Forest:
    """`feature`, `threshold`: (trees, 2**depth - 1); `leaf`: (trees, 2**depth); a value above its threshold goes right."""

    feature: "NDArray[np.intp]"
    threshold: "Floats"
    leaf: "Floats"
    bias: float


def fit(values: "Floats", wanted: "Floats", weight: "Floats", settings: Settings) -> Forest:
    """Fit `wanted` (0 or 1) of rows, shape (rows, features), with a weight for each row."""
    rows, features = values.shape
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)  # (BINS - 1, features)
    binned = np.column_stack([np.searchsorted(edges[:, f], values[:, f]) for f in range(features)])
    mean = float(np.average(wanted, weights=weight))
    bias = float(np.log(mean / (1 - mean)))
    total = np.full(rows, bias)
    nodes = 2**settings.depth - 1
    feature = np.zeros((settings.trees, nodes), np.intp)
    threshold = np.full((settings.trees, nodes), np.inf)
    leaf = np.zeros((settings.trees, nodes + 1))
    draw = np.random.default_rng(settings.seed)
    for tree in range(settings.trees):
        asked = np.sort(draw.permutation(features)[: max(1, round(settings.asked * features))])
        of_tree = weight
        if settings.seen < 1:
            drawn: Floats = draw.random(len(values))
            of_tree: Floats = np.where(drawn < settings.seen, weight, 0.0)
        chance = 1 / (1 + np.exp(-total))
        gradient, curvature = of_tree * (wanted - chance), of_tree * chance * (1 - chance)
        node = np.zeros(rows, np.intp)
        for level in range(settings.depth):
            first = 2**level - 1
            _split(
                binned,
                asked,
                edges,
                node - first,
                gradient,
                curvature,
                2**level,
                settings,
                feature[tree],
                threshold[tree],
                first,
            )
            right = values[np.arange(rows), feature[tree][node]] > threshold[tree][node]
            node = 2 * node + 1 + right
        end = node - nodes
        top = np.bincount(end, gradient, nodes + 1)
        leaf[tree] = settings.rate * top / (np.bincount(end, curvature, nodes + 1) + settings.ridge)
        total += leaf[tree][end]
    return Forest(feature, threshold, leaf, bias)


def _split(
    binned: "NDArray[np.intp]",
    asked: "NDArray[np.intp]",
    edges: "Floats",
    node: "NDArray[np.intp]",
    gradient: "Floats",
    curvature: "Floats",
    count: int,
    settings: Settings,
    feature: "NDArray[np.intp]",
    threshold: "Floats",
    first: int,
) -> None:
    """Write the best split of each node of a level; a node that none improves keeps an infinite threshold."""
    best = np.zeros(count)
    for f in asked.tolist():
        cell = node * BINS + binned[:, f]
        g = np.bincount(cell, gradient, count * BINS).reshape(count, BINS).cumsum(axis=1)
        h = np.bincount(cell, curvature, count * BINS).reshape(count, BINS).cumsum(axis=1)
        g_all, h_all = g[:, -1:], h[:, -1:]
        gain = (
            g**2 / (h + settings.ridge)
            + (g_all - g) ** 2 / (h_all - h + settings.ridge)
            - g_all**2 / (h_all + settings.ridge)
        )
        gain[(h < settings.least_weight) | (h_all - h < settings.least_weight)] = 0
        at = gain[:, :-1].argmax(axis=1)
        top = gain[np.arange(count), at]
        for n in np.flatnonzero(top > best):
            best[n] = top[n]
            feature[first + n], threshold[first + n] = f, edges[at[n], f]


def together(forests: "Sequence[Forest]") -> Forest:
    """One forest that says what these say on the mean."""
    return Forest(
        np.concatenate([f.feature for f in forests]),
        np.concatenate([f.threshold for f in forests]),
        np.concatenate([f.leaf for f in forests]) / len(forests),
        sum(f.bias for f in forests) / len(forests),
    )


def drawn(classes: "Sequence[tuple[float, Sequence[Floats]]]", settings: Settings, seeds: "Sequence[int]") -> Forest:
    """The mean of a forest for each seed, of two classes (0, then 1): of each its share of all weight, and its rows by record.

    Of a class every record counts alike, so that no patient outvotes the others.
    """
    values = np.concatenate([rows for _, records in classes for rows in records])
    wanted: list[Floats] = []
    weight: list[Floats] = []
    for kind, (share, records) in enumerate(classes):
        each = np.concatenate([np.full(len(rows), 1 / max(1, len(rows))) for rows in records])
        wanted.append(np.full(len(each), float(kind)))
        weight.append(share * each / each.sum())
    all_wanted = np.concatenate(wanted)
    all_weight = len(all_wanted) * np.concatenate(weight)
    return together([fit(values, all_wanted, all_weight, replace(settings, seed=seed)) for seed in seeds])


def table(version: str, features: "Sequence[str]", forests: "Sequence[Forest]") -> dict[str, object]:
    """What `models.signal.trees` reads: a forest for each output, in six digits."""
    return {
        "version": version,
        "features": list(features),
        "feature": [f.feature.tolist() for f in forests],
        "threshold": [[[_short(v) for v in tree] for tree in f.threshold.tolist()] for f in forests],
        "leaf": [[[round(v, 5) for v in tree] for tree in f.leaf.tolist()] for f in forests],
        "bias": [round(f.bias, 5) for f in forests],
    }


def _short(value: float) -> float:
    return 1e30 if np.isinf(value) else float(f"{value:.6g}")
