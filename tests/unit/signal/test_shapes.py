"""Which shapes a patient's beats have, and which of them a pacemaker makes."""

import numpy as np
import pytest

from models.signal import monitor, shapes, weights
from models.signal.beats import Kind
from tests.unit.signal.signals import heartbeats, regular

RNG = np.random.default_rng(8)
T = np.arange(shapes.WINDOW + 2 * shapes.SHIFT) / 120


def wide(at_s: float, width_s: float, mv: float) -> np.ndarray:
    """A window of two leads with one wave in it, and a little noise."""
    one = mv * np.exp(-(((T - at_s) / width_s) ** 2))
    return np.stack([one, 0.6 * one]) + 0.01 * RNG.normal(size=(2, len(T)))


MIDDLE_S = (shapes.BEFORE + shapes.SHIFT) / 120
NARROW, BROAD = (lambda: wide(MIDDLE_S, 0.02, 1.0)), (lambda: wide(MIDDLE_S + 0.04, 0.08, -1.2))


def learned(*beats: tuple[np.ndarray, bool], ratio: float = 1.0) -> tuple[tuple[shapes.Cluster, ...], list[int]]:
    clusters: tuple[shapes.Cluster, ...] = ()
    own: list[int] = []
    for window, paced in beats:
        clusters, at, _ = shapes.joined(clusters, window, ratio, paced=paced)
        own.append(at)
    return clusters, own


def test_beats_that_are_alike_are_one_shape_and_the_most_frequent_is_the_usual_one():
    clusters, own = learned(*((BROAD() if i % 4 == 3 else NARROW(), False) for i in range(40)))
    assert (len(clusters), own[:5]) == (2, [0, 0, 0, 1, 0])
    assert shapes.dominant(clusters) == 0


def test_a_shape_of_which_a_few_answered_a_pulse_is_paced_unless_it_comes_early_or_fast():
    beats = [(BROAD(), i % 10 == 0) for i in range(40)]  # a device that shows one pulse of ten
    (paced,), _ = learned(*beats)
    assert paced.paced == pytest.approx(4, abs=0.5)
    assert shapes.as_paced(paced, 1.0, 0.85)
    assert not shapes.as_paced(paced, 0.7, 0.6)  # an early beat from beside the electrode looks the same
    assert not shapes.as_paced(paced, 1.0, 0.5)  # so do those of a tachycardia
    (once,), _ = learned(*((BROAD(), i == 5) for i in range(40)))
    assert not shapes.as_paced(once, 1.0, 0.85)


@pytest.mark.parametrize("fs_hz", [250, 500])
def test_beats_behind_pulses_are_paced_and_those_without_are_not(fs_hz: int):
    models = weights.product()
    at_s = regular(71, 40, 0.61)
    t = np.arange(round(41 * fs_hz)) / fs_hz

    def kinds(pulses_s: list[float]) -> list[Kind]:
        x = heartbeats(fs_hz, [at + 0.08 for at in at_s], 41)
        for at in pulses_s:
            edges = np.clip(t[:, None] + [0, 1 / fs_hz], at, at + 0.002)
            x += 8.0 * (edges[:, 1] - edges[:, 0]) * fs_hz
        _, findings = monitor.feed(monitor.begin(1, fs_hz, models), x[None], fs_hz, models)
        return [found.kind for finding in findings for _, found in finding.classified]

    behind = kinds(at_s)[8:]  # pulses are believed once beats answer them
    assert len(behind) > 30
    assert set(behind) == {Kind.P}
    assert Kind.P not in kinds([])
    some = kinds(at_s[::3])[16:]  # the others look as paced ones do
    assert set(some) == {Kind.P}
