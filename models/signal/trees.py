"""Boosted trees read from a table: complete binary trees of one depth, summed, turned into probabilities."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.signal.card import WeightsError, checked, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.signal.explain import Meaning

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trees:
    """`feature`, `threshold`: (outputs, trees, nodes), node i has children 2i+1 (value <= threshold) and 2i+2; `leaf`.

    `meaning`: how sure a score is and why; None of tables that only figures use.
    """

    version: str
    sha256: str
    feature: "NDArray[np.intp]"
    threshold: "Floats"
    leaf: "Floats"
    bias: "Floats"
    meaning: "Meaning | None" = None

    @cached_property
    def _flat(self) -> "tuple[NDArray[np.intp], Floats, Floats, NDArray[np.intp], NDArray[np.intp]]":
        """Tables in one row, and of each tree where its nodes and (less the nodes before them) its leaves begin."""
        outputs, trees, nodes = self.feature.shape
        each = np.arange(outputs * trees, dtype=np.intp)
        return self.feature.ravel(), self.threshold.ravel(), self.leaf.ravel(), each * nodes, each * (nodes + 1) - nodes

    def predict(self, values: "Floats") -> "Floats":
        """Probabilities, shape (rows, outputs), for feature rows, shape (rows, features)."""
        outputs, trees, nodes = self.feature.shape
        feature, threshold, leaf, roots, leaves = self._flat
        rows = np.arange(0, values.size, values.shape[1], dtype=np.intp)[:, None]
        flat = values.ravel()
        at = np.repeat(roots[None], len(values), axis=0)
        for _ in range((nodes + 1).bit_length() - 1):
            at += at - roots + 1 + (flat.take(rows + feature.take(at)) > threshold.take(at))
        total = leaf.take(at - roots + leaves).reshape(len(values), outputs, trees).sum(axis=2)
        return 1 / (1 + np.exp(-(total + self.bias)))


def parse(data: bytes, expected_sha256: str, feature_names: tuple[str, ...]) -> Trees:
    """Read a table; WeightsError when its hash or its features are not the expected ones."""
    table: dict[str, Any] = json.loads(checked(data, expected_sha256))
    if tuple(table["features"]) != feature_names:
        msg = (
            f"weights of version {table['version']} were trained on other features than the code computes: train again"
        )
        raise WeightsError(msg)
    return Trees(
        version=str(table["version"]),
        sha256=expected_sha256,
        feature=np.array(table["feature"], np.intp),
        threshold=np.array(table["threshold"], np.float64),
        leaf=np.array(table["leaf"], np.float64),
        bias=np.array(table["bias"], np.float64),
    )


def load(name: str, expected_sha256: str, feature_names: tuple[str, ...]) -> Trees:
    """Read `models/weights/NAME`."""
    return parse(read(name), expected_sha256, feature_names)
