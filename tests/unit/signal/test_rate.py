"""What rate is told of beats: steps, single early or missing beats, patterns, pauses."""

from itertools import accumulate

import pytest

from models.signal import rate

FS_HZ = 250.0


def told(intervals_s: list[float], pause_s: float = 0.0) -> float | None:
    """The rate so long behind the last of beats at these intervals."""
    beats = tuple(round(t * FS_HZ) for t in accumulate(intervals_s, initial=1.0))
    state = rate.RateState()
    for beat in beats:
        state = rate.add(state, (beat,))
    return rate.rate_per_min(state, beats[-1] + round(pause_s * FS_HZ), FS_HZ)


@pytest.mark.parametrize(
    ("intervals", "wanted"),
    [
        ([0.752] * 9 + [0.5] * 3, 120),
        ([0.752] * 9 + [1.5] * 2, 40),
        ([0.752] * 6 + [0.5, 1.004] + [0.752] * 2, 80),  # an early beat and the pause behind it
        ([0.752] * 5 + [1.504] + [0.752] * 2, 80),  # one that was not found
        ([0.5, 1.0] * 6, 80),
        ([0.5, 1.0] * 6 + [0.5], 80),
        ([0.752, 0.5, 1.004] * 4, 80),
        ([0.2] * 40, 300),
    ],
    ids=["to 120", "to 40", "early beat", "missed beat", "bigeminy", "half a pair more", "trigeminy", "300"],
)
def test_the_rate_is_that_of_the_rhythm(intervals: list[float], wanted: float):
    assert told(intervals) == pytest.approx(wanted, abs=max(1.0, 0.01 * wanted))


def test_two_early_beats_are_no_new_rhythm():
    assert told([0.752] * 8 + [0.4, 0.4]) == pytest.approx(80, abs=1)


def test_an_irregular_rhythm_is_told_by_its_mean():
    intervals = [0.61, 0.84, 0.47, 0.93, 0.72, 0.55, 1.02, 0.66, 0.81, 0.49]
    assert told(intervals) == pytest.approx(60 * len(intervals) / sum(intervals), rel=0.06)


def test_the_rate_falls_while_nothing_comes_and_says_nothing_behind_four_seconds():
    rates = [told([0.752] * 8, pause_s) for pause_s in (0.7, 1.5, 2.5, 3.5)]
    assert rates == sorted(rates, key=lambda r: -(r or 0))
    assert rates[0] == pytest.approx(80, abs=1)
    assert told([0.752] * 8, 4.1) is None


def test_a_hole_is_no_interval():
    state = rate.RateState()
    for beat in range(250, 2500, 188):
        state = rate.add(state, (beat,))
    state = rate.interrupt(state, 7000)
    for beat in range(7100, 8000, 188):
        state = rate.add(state, (beat,))
    assert rate.rate_per_min(state, 8000, FS_HZ) == pytest.approx(80, abs=1)


def test_no_more_beats_are_kept_than_the_rate_needs():
    state = rate.RateState()
    for beat in range(0, 50_000, 100):
        state = rate.add(state, (beat,))
    assert len(state.beats) == rate.KEPT
