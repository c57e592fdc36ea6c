"""The numbers that were fitted (models.training.delineate), read from a file whose hash the code knows."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from models.signal.trees import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOUNDARIES = ("p_on", "p_off", "qrs_on", "qrs_off", "t_on", "t_end")
SHA256 = "f24306b48f0fe700df8cb40de4db628b2fab739a1e769bbb1224a6e4c4e07bae"
FOLDS_SHA256: tuple[str, ...] = (
    "ff08330b53169f6d7d14d24e55879f2a587ac9073cafa6ae6b3307b0422c20d6",
    "52f5b5591edf3ea3057dc91d423aff63c0007bc5a1c81a50488097e1d920618c",
    "7e79b09b9beee3e4ef5546ec43b800279a21d4d31d87dd00c102108e6d9a4149",
    "cbfc2ee0c8d9be55518caf0b94d1987576e2ef6b0720f4964e8e61156a2eb3dd",
    "f1f09563597375c07474db77e7123e4225d41e1dc3526ce5211b3c7f0e52b9e1",
    "4264f8310f9eed308779eaccdf593c96907747f79dadadef64ae95ac05be3cbd",
    "dee06493fcf46b9cd35afd08cabc90a04bdd9587983dc6f23c98a4c13825b426",
    "05acc8fe6de4556f749463c14a825254570ffcc44d83c53104d820d2ea958d0a",
    "541f88c3a94e1a3cdee8b7029df9c556784018a6e04c81bb4feed8cce1a4c9d5",
    "4bb8ccc75b84eeaf6d260bcbbb603e5c913feba695be3309346f06c4c42f500d",
)
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
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected_sha256:
        msg = f"weights have SHA-256 {digest}, expected {expected_sha256}: install the package again"
        raise WeightsError(msg)
    table: Table = json.loads(data)
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
    return parse((files("models") / "weights" / "delineate.json").read_bytes(), SHA256)


def fold_of(record: str) -> int:
    """Which of the folds leaves a record of ludb out: by its name, so that it stays when others come."""
    return int(hashlib.sha256(record.encode()).hexdigest(), 16) % FOLDS


def without(record: str) -> Weights:
    """Weights that never saw this record of ludb: those of its fold, or the shipped ones when they did not either. For figures only."""
    shipped = load()
    if record not in shipped.records:
        return shipped
    fold = fold_of(record)
    return parse((files("models") / "weights" / "folds" / f"delineate-{fold}.json").read_bytes(), FOLDS_SHA256[fold])
