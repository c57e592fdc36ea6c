"""The models of the product, and those of cross-validation. A file that is not the one of its card is refused (`models.signal.card`)."""

from dataclasses import replace

from models.signal import card, explain
from models.signal import lethal as _lethal
from models.signal.trees import Trees, load


def lethal() -> Trees:
    """The trees of `models.signal.lethal`, outputs lethal and fibrillation, with what their scores mean."""
    sha256 = card.of("lethal").sha256
    trees = load("lethal.json", sha256["lethal.json"], _lethal.FEATURES)
    meaning = explain.parse(card.read("lethal-meaning.json"), sha256["lethal-meaning.json"], trees)
    return replace(trees, meaning=meaning)


def lethal_without(fold: str) -> Trees:
    """Trees that never saw a record of this fold: a record of vfdb, or `ds1-0` to `ds1-3`. For figures only."""
    name = f"lethal-{fold}.json"
    return load(f"folds/{name}", card.of_folds()[name], _lethal.FEATURES)
