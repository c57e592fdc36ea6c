"""The models of the product, and those of cross-validation. A file that is not the one of its card is refused (`models.signal.card`)."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from models.signal import card, explain, networks
from models.signal import lethal as _lethal
from models.signal.beats import OF_S
from models.signal.rhythm import atrial as _atrial
from models.signal.trees import Trees, load

if TYPE_CHECKING:
    from models.signal.networks import Network


@dataclass(frozen=True, eq=False)
class Models:
    """What a monitor judges by. Without `qrs` beats are found by rules; without `beats` and `supraventricular` they have no classes.

    `describes`: findings tell what beats are like, from which `beats` and `atrial` are made. Without `atrial`, or without `beats`, nothing
    is said of the atria.
    """

    lethal: Trees
    qrs: "Network | None" = None
    beats: "Network | None" = None
    supraventricular: Trees | None = None
    describes: bool = False
    atrial: Trees | None = None


@lru_cache(maxsize=1)
def product() -> Models:
    """What is shipped: the networks too where LiteRT is installed."""
    return replace(naming(by_rules()), qrs=qrs(), atrial=atrial()) if networks.can_run() else by_rules()


@lru_cache(maxsize=1)
def by_rules() -> Models:
    """What is shipped, without networks."""
    return Models(lethal())


def without(lethal_fold: str | None, qrs_fold: int | None, *, rules: bool = False) -> Models:
    """Models that never saw the records of these folds, those of the product where there is none. For figures only.

    `lethal_fold`: a record of vfdb, or `ds1-0` to `ds1-3`; `qrs_fold`: 0 to 3 (models/training/corpus.py tells those of a record).
    """
    shipped = by_rules() if rules else product()
    trees = shipped.lethal if lethal_fold is None else lethal_without(lethal_fold)
    if rules or qrs_fold is None:
        return replace(shipped, lethal=trees)
    return replace(shipped, lethal=trees, qrs=qrs(qrs_fold))


@lru_cache(maxsize=1)
def lethal() -> Trees:
    """The trees of `models.signal.lethal`, outputs lethal and fibrillation, with what their scores mean."""
    sha256 = card.of("lethal").sha256
    trees = load("lethal.json", sha256["lethal.json"], _lethal.FEATURES)
    meaning = explain.parse(card.read("lethal-meaning.json"), sha256["lethal-meaning.json"], trees)
    return replace(trees, meaning=meaning)


@lru_cache(maxsize=2)
def lethal_without(fold: str) -> Trees:
    """Trees that never saw a record of this fold: a record of vfdb, or `ds1-0` to `ds1-3`. For figures only."""
    name = f"lethal-{fold}.json"
    return load(f"folds/{name}", card.of_folds()[name], _lethal.FEATURES)


@lru_cache(maxsize=2)
def qrs(fold: int | None = None) -> "Network":
    """The network that finds beats; that of a fold, for figures only, never saw the fold's records."""
    if fold is None:
        return _network("qrs")
    name = f"qrs-{fold}.tflite"
    return networks.load(f"folds/{name}", card.of_folds()[name], card.of("qrs").version)


@lru_cache(maxsize=2)
def beats(fold: int | None = None) -> "Network":
    """The network that names beats; that of a fold of ten, for figures only, never saw the fold's records."""
    if fold is None:
        return _network("beats")
    name = f"beats-{fold}.tflite"
    return networks.load(f"folds/{name}", card.of_folds()[name], card.of("beats").version)


@lru_cache(maxsize=2)
def supraventricular(fold: int | None = None) -> Trees:
    """The trees that tell S beats from normal ones; those of a fold of ten as above."""
    if fold is None:
        return load("supraventricular.json", card.of("supraventricular").sha256["supraventricular.json"], OF_S)
    name = f"supraventricular-{fold}.json"
    return load(f"folds/{name}", card.of_folds()[name], OF_S)


def naming(models: Models, fold: int | None = None) -> Models:
    """The same with what names beats: the product's, or for figures that of a fold of ten."""
    return replace(models, beats=beats(fold), supraventricular=supraventricular(fold))


@lru_cache(maxsize=2)
def atrial(fold: int | None = None) -> Trees:
    """The trees of `models.signal.rhythm.atrial`; those of a fold of eight, for figures only, never saw the fold's records."""
    if fold is None:
        return load("fibrillation.json", card.of("fibrillation").sha256["fibrillation.json"], _atrial.FEATURES)
    name = f"fibrillation-{fold}.json"
    return load(f"folds/{name}", card.of_folds()[name], _atrial.FEATURES)


def _network(name: str) -> "Network":
    stated = card.of(name)
    return networks.load(f"{name}.tflite", stated.sha256[f"{name}.tflite"], stated.version)
