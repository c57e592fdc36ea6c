"""All 48 records of mitdb through the whole screening, each by models that never saw it: one run for every figure that asks."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from models.evaluation.beats import BeatScore
from models.evaluation.folder import compare
from models.evaluation.played import Played, play
from models.signal import weights
from models.signal.weights import Models
from models.training import beats, fibrillation
from models.training.corpus import BEAT_FOLDS, DS1, DS2, PACED, models_without
from protocols.ecgfile.wfdb import read_annotations, read_record
from tests.figures.kept import kept
from wardlink import parallel

NAMES = (*DS1, *DS2, *PACED)
CODE = ("models", "protocols", "tests/figures/unseen.py")


def models_for(name: str) -> Models:
    """Models none of which learned from this record of mitdb; no network of classes learned from a paced one."""
    fold = next((fold for fold in range(BEAT_FOLDS) if name in beats.held_out(fold)), None)
    (atria,) = (fold for fold in range(fibrillation.FOLDS) if name in fibrillation.held_out(fold))
    return replace(weights.naming(models_without(f"mitdb/{name}"), fold), atrial=weights.atrial(atria))


@lru_cache(maxsize=1)
def played(recordings: Path) -> Mapping[str, Played]:
    """By record."""
    return kept("mitdb-unseen", CODE, [recordings / "mitdb"], lambda: _play(recordings))


def score(recordings: Path, name: str) -> BeatScore:
    """A record's beats by EC57."""
    path = recordings / "mitdb" / name
    return compare(read_record(path).fs_hz, read_annotations(path), played(recordings)[name])


def _play(recordings: Path) -> dict[str, Played]:
    return dict(parallel.over(_job, [(recordings, name) for name in NAMES]))


def _job(job: tuple[Path, str]) -> tuple[str, Played]:
    recordings, name = job
    return name, play(read_record(recordings / "mitdb" / name), models_for(name))
