"""The numbers that were fitted (models.training.delineate), read from a file whose hash its card states."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from models.signal import card

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOUNDARIES = ("p_on", "p_off", "qrs_on", "qrs_off", "t_on", "t_end")
FOLDS = 10


class Table(TypedDict):
    """What stands in the file."""

    version: str
    records: list[str]
    boundary: dict[str, list[float]]
    steady: dict[str, list[float]]
    p_present: list[float]


@dataclass(frozen=True, eq=False)
class Weights:
    """`boundary`: factors of the rows of `features`, by name; `steady`: factors of a lead's earlier P waves; `p_present`: of the evidence.

    `records`: of ludb, those that it was fitted to.
    """

    version: str
    records: frozenset[str]
    boundary: Mapping[str, "Floats"]
    steady: Mapping[str, "Floats"]
    p_present: "Floats"


def parse(data: bytes, expected_sha256: str) -> Weights:
    """Read a table; WeightsError when its hash is not the expected one."""
    table: Table = json.loads(card.checked(data, expected_sha256))
    return read(table)


def read(table: Table) -> Weights:
    """Weights from their table."""
    return Weights(
        str(table["version"]),
        frozenset(table["records"]),
        MappingProxyType({name: np.array(table["boundary"][name]) for name in BOUNDARIES}),
        MappingProxyType({name: np.array(row) for name, row in table["steady"].items()}),
        np.array(table["p_present"]),
    )


@lru_cache(maxsize=1)
def load() -> Weights:
    """The weights that are shipped."""
    return parse(card.read("delineate.json"), card.of("delineate").sha256["delineate.json"])


def fold_of(record: str) -> int:
    """Which of the folds leaves a record of ludb out: by its name, so that it stays when others come."""
    return int(hashlib.sha256(record.encode()).hexdigest(), 16) % FOLDS


def without(record: str) -> Weights:
    """Weights that never saw this record of ludb: those of its fold, or the shipped ones when they did not either. For figures only."""
    shipped = load()
    if record not in shipped.records:
        return shipped
    fold = f"delineate-{fold_of(record)}.json"
    return parse(card.read(f"folds/{fold}"), card.of_folds()[fold])
