"""Why a score is what it is: what each part added makes the score, by no more and no less; and how sure it is."""

from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.signal import card, explain, lethal, weights
from models.signal.card import WeightsError, read
from models.signal.explain import Meaning
from models.signal.lethal import FEATURES, LethalScore, Window
from models.signal.trees import Trees

Floats: TypeAlias = NDArray[np.float64]

TREES = weights.lethal()
MEANING = explain.parse(read("lethal-meaning.json"), card.of("lethal").sha256["lethal-meaning.json"], TREES)
PEAK, SHARP = FEATURES.index("peak_hz"), FEATURES.index("slope_kurtosis")


def scored(*windows: tuple[tuple[int, ...], Floats], flat: bool = False) -> LethalScore:
    """The score of windows of these features, as the product makes it."""
    judged: list[Window] = []
    for leads, values in windows:
        waves = np.full(len(leads), not flat)
        judged.append(Window(leads, values, TREES.predict(values)[:, 0] * waves, waves))
    return LethalScore(float(np.mean([w.scores.mean() for w in judged])), 0.5, (), tuple(judged))


@st.composite
def features(draw: st.DrawFn, leads: int) -> Floats:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.floats(0.01, 4))
    kind = draw(st.sampled_from(["noise", "sine", "spikes", "flat"]))
    t = np.arange(lethal.WINDOW) / 90
    shape = {
        "noise": random.normal(size=lethal.WINDOW),
        "sine": np.sin(2 * np.pi * draw(st.floats(1, 9)) * t),
        "spikes": np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.0004),
        "flat": np.zeros(lethal.WINDOW),
    }[kind]
    return lethal.features(size * shape[None, :] + random.normal(0, 0.01, (leads, lethal.WINDOW)))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_the_features_added_is_the_log_odds_that_the_trees_give(data: st.DataObject):
    values = data.draw(features(2))
    start, added = explain.contributions(TREES, MEANING.expected, values)
    chance = TREES.predict(values)[:, 0]
    assert start + added.sum(axis=1) == pytest.approx(np.log(chance / (1 - chance)), abs=1e-6)
    assert added.shape == (2, len(FEATURES))


@pytest.mark.req("AIQ-6.3", surface="protocol")
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_weights_of_all_reasons_are_the_score(data: st.DataObject):
    leads = [data.draw(st.sampled_from([(0,), (1,), (0, 1)])) for _ in range(data.draw(st.integers(1, 4)))]
    score = scored(*((one, data.draw(features(len(one)))) for one in leads), flat=data.draw(st.booleans()))
    found = explain.explain(score, TREES, MEANING)
    assert sum(one.weight for one in found.weighed) == pytest.approx(score.lethal, abs=1e-9)
    assert found.weighed[0].code == explain.BASE
    assert len(found.weighed) == 1 + len(explain.GROUPS)
    assert 0 < found.chance < 1


def test_a_path_of_a_tree_made_by_hand_is_told_step_by_step():
    """Root asks the peak (0.4 to be expected), its right child asks the sharpness (1.0), which ends at 3.0."""
    expected = np.array([[0.4, -0.5, 1.0]])
    feature, threshold = np.array([[[PEAK, PEAK, SHARP]]]), np.array([[[2.0, 1.0, 8.0]]])
    trees = Trees("hand", "", feature, threshold, np.array([[[-1.0, 0.0, -2.0, 3.0]]]), np.array([-0.1]))
    values = np.zeros((1, len(FEATURES)))
    values[0, [PEAK, SHARP]] = 5.0, 9.0
    start, added = explain.contributions(trees, expected, values)
    assert start == pytest.approx(0.3)
    assert added[0, PEAK] == pytest.approx(0.6)
    assert added[0, SHARP] == pytest.approx(2.0)
    assert np.count_nonzero(added) == 2


def test_every_feature_is_of_one_group_that_words_are_for():
    named = [name for group in explain.GROUPS for name in group.features]
    assert sorted(named) == sorted(FEATURES)
    assert all(group.shown in group.features for group in explain.GROUPS)


def test_waves_without_spikes_speak_for_fibrillation_and_spikes_against_it():
    t = np.arange(lethal.WINDOW) / 90
    waves = lethal.features((0.5 * np.sin(2 * np.pi * 5 * t + np.sin(t)))[None, :])
    beats = lethal.features(np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.0004)[None, :])
    of_waves, of_beats = (explain.explain(scored(((0,), v)), TREES, MEANING) for v in (waves, beats))
    told = {one.code: one for one in of_waves.weighed}
    assert told["blunt"].weight > 0.1
    assert told["waves"].value == pytest.approx(5, abs=0.5)
    assert {"sharp", "rests"} <= {one.code for one in of_beats.weighed}
    assert next(one for one in of_beats.weighed if one.code == "sharp").weight <= 0
    assert of_beats.chance < 0.05
    assert of_waves.chance > 0.9


def test_the_heaviest_window_is_that_with_the_largest_score_and_of_equal_ones_the_newest():
    quiet, loud = np.zeros((1, len(FEATURES))), np.zeros((2, len(FEATURES)))
    windows = tuple(
        Window(leads, values, np.array(scores), np.array([True] * len(leads)))
        for leads, values, scores in (((0,), quiet, [0.7]), ((0, 1), loud, [0.2, 0.9]), ((0, 1), loud, [0.9, 0.1]))
    )
    assert explain.heaviest_window(windows) == (2, 0)
    with pytest.raises(ValueError, match="no window"):
        explain.heaviest_window(())


def test_the_committed_meaning_is_of_the_committed_trees_and_rises_with_the_score():
    assert MEANING.weights == card.of("lethal").sha256["lethal.json"]
    chances = [MEANING.chance(s) for s in np.linspace(0, 1, 101)]
    assert chances == sorted(chances)
    assert 0 < chances[0] < 0.01
    assert 0.99 < chances[-1] < 1
    # What is to be expected at a node lies between what is to be expected at its two ways on.
    worth = np.concatenate([MEANING.expected, TREES.leaf[0]], axis=1)
    for node in range(TREES.feature.shape[2]):
        ways = worth[:, [2 * node + 1, 2 * node + 2]]
        assert np.all(worth[:, node] >= ways.min(axis=1) - 1e-5)
        assert np.all(worth[:, node] <= ways.max(axis=1) + 1e-5)


def test_a_meaning_of_other_trees_is_refused():
    data = read("lethal-meaning.json")
    with pytest.raises(WeightsError, match="made for weights"):
        explain.parse(data, card.of("lethal").sha256["lethal-meaning.json"], weights.lethal_without("419"))
    with pytest.raises(WeightsError, match="SHA-256"):
        explain.parse(data + b" ", card.of("lethal").sha256["lethal-meaning.json"], TREES)
    assert isinstance(explain.parse(data, card.of("lethal").sha256["lethal-meaning.json"], TREES), Meaning)
