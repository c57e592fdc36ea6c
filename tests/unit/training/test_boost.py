"""Boosted trees: what can be learned is learned, with part of the rows and features too, and a table says what its forest does."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from models.signal import trees
from models.training import boost
from models.training.shelf import table_bytes

NAMES = tuple("abcdef")
SETTINGS = boost.Settings(depth=3, trees=40, rate=0.2, least_weight=5.0)


def taught(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Rows of six features; wanted where the second is large and the fifth is not."""
    values = np.random.default_rng(5).normal(size=(count, len(NAMES)))
    return values, ((values[:, 1] > 0.3) & (values[:, 4] < 0.5)).astype(float)


def forest(settings: boost.Settings) -> boost.Forest:
    values, wanted = taught()
    return boost.fit(values, wanted, np.ones(len(wanted)), settings)


def read(forests: list[boost.Forest]) -> trees.Trees:
    data = table_bytes(boost.table("1", NAMES, forests))
    return trees.parse(data, hashlib.sha256(data).hexdigest(), NAMES)


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, asked=0.5, seen=0.6)], ids=["all", "drawn"])
def test_what_two_features_decide_is_learned(settings: boost.Settings):
    values, wanted = taught()
    found = read([forest(settings)]).predict(values)[:, 0] > 0.5
    assert np.mean(found == (wanted > 0)) > 0.97


def test_trees_that_draw_ask_few_features_and_others_by_another_seed():
    drawn = replace(SETTINGS, asked=1 / 3)
    one, again, other = forest(drawn), forest(drawn), forest(replace(drawn, seed=2))
    for tree, limits in zip(one.feature, one.threshold, strict=True):
        assert len(set(tree[np.isfinite(limits)].tolist())) <= 2
    assert np.array_equal(one.leaf, again.leaf)
    assert not np.array_equal(one.leaf, other.leaf)


def test_forests_together_say_their_mean():
    values, _ = taught(200)
    both = [forest(replace(SETTINGS, asked=0.5, seed=seed)) for seed in (1, 2)]

    def odds(table: trees.Trees) -> np.ndarray:
        chance = table.predict(values)[:, 0]
        return np.log(chance / (1 - chance))

    mean = (odds(read(both[:1])) + odds(read(both[1:]))) / 2
    assert np.allclose(odds(read([boost.together(both)])), mean, atol=1e-3)  # tables are rounded


def test_a_record_of_many_rows_counts_no_more_than_one_of_few():
    """Two records say the opposite of one feature: the forest sides with neither, though one has fifty times the rows."""
    chance = np.random.default_rng(6)

    def record(rows: int, place: float) -> np.ndarray:
        values = chance.normal(size=(rows, len(NAMES)))
        values[:, 2] = place + 0.01 * values[:, 2]
        return values

    negatives, positives = [record(5000, -1.0), record(100, 1.0)], [record(100, -1.0), record(5000, 1.0)]
    settings = replace(SETTINGS, depth=2, trees=100)

    def chances(even: boost.Forest) -> np.ndarray:
        return read([even]).predict(np.array([[0.0, 0, place, 0, 0, 0] for place in (-1.0, 1.0)]))[:, 0]

    assert chances(boost.drawn([(0.5, negatives), (0.5, positives)], settings, (1, 2))) == pytest.approx(0.5, abs=0.1)
    rows, wanted = np.concatenate([*negatives, *positives]), np.repeat([0.0, 1.0], 5100)
    low, high = chances(boost.fit(rows, wanted, np.ones(len(rows)), settings))
    assert low < 0.1
    assert high > 0.9
