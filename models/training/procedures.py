"""How each model is made from recordings: its name, what it learns from, and the module whose `made` gives its files.

A module is read when its model is made: networks need more packages than tables do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from models.training import shelf


class Made(Protocol):
    """What a module of this folder offers."""

    def __call__(self, recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
        """Names below models/weights and their bytes; with `folds` those of cross-validation too."""
        ...


@dataclass(frozen=True, slots=True)
class Procedure:
    """How a model is made; the folders of recordings that it reads."""

    module: str
    reads: tuple[str, ...]


PROCEDURES: dict[str, Procedure] = {
    "lethal": Procedure("models.training.lethal", ("vfdb", "mitdb", "nstdb")),
    "lethal-meaning": Procedure("models.training.meaning", ("vfdb", "mitdb")),
    "qrs": Procedure("models.training.qrs", ("mitdb", "ludb", "nstdb")),
    "beats": Procedure("models.training.beats", ("mitdb",)),
    "supraventricular": Procedure("models.training.supraventricular", ("mitdb",)),
    "fibrillation": Procedure("models.training.fibrillation", ("mitdb",)),
    "delineate": Procedure("models.training.delineate", ("ludb",)),
    "leads": Procedure("models.training.leads", ("ludb",)),
}


def train(name: str, recordings: Path, *, folds: bool) -> Iterator[str]:
    """Make the files of a model and put them in their place; a line for each. FileNotFoundError names recordings that are missing."""
    procedure = PROCEDURES[name]
    missing = [folder for folder in procedure.reads if not (recordings / folder).is_dir()]
    if missing:
        msg = f"{recordings} has no {', '.join(missing)}: fetch each with `wardlink recordings get NAME --to {recordings}`"
        raise FileNotFoundError(msg)
    made = cast("Made", import_module(procedure.module).made)
    for file, data in made(recordings, folds=folds):
        yield shelf.put(file, data)
