"""Runs of ventricular beats: how many, how fast, and until when they count."""

import pytest

from models.screening import runs
from models.signal.beats import Kind

FS = 250.0
N, S, V = str(Kind.N), str(Kind.S), str(Kind.V)


def of(kinds: list[str], per_min: float = 150.0, after_s: float = 0.5, unnamed: int = 0) -> runs.Run | None:
    """A beat of each kind, one behind the other; the last `unnamed` have no class yet."""
    beats = tuple(round(i * 60 * FS / per_min) for i in range(len(kinds)))
    classes = {at: kind for at, kind in zip(beats, kinds, strict=True) if at < beats[-1 - unnamed] + 1}
    return runs.newest(beats, classes, round(beats[-1] + after_s * FS), FS)


def test_five_fast_ventricular_beats_in_a_row_are_a_run_and_four_are_none():
    assert of([N, N, V, V, V, V]) is None
    found = of([N, N, V, V, V, V, V])
    assert found is not None
    assert (found.first, found.beats) == (round(2 * 60 * FS / 150), 5)
    assert found.rate_per_min == pytest.approx(150)


@pytest.mark.parametrize("kind", [N, S])
def test_a_beat_of_another_kind_ends_the_row(kind: str):
    assert of([V, V, V, V, kind, V, V, V, V]) is None


def test_a_row_at_a_hundred_a_minute_is_a_rhythm_of_the_ventricle_and_no_tachycardia():
    assert of([V] * 8, per_min=99) is None
    assert of([V] * 8, per_min=102) is not None


def test_the_rate_is_that_of_the_newest_five():
    beats, slow, fast = [0], round(0.9 * FS), round(0.4 * FS)
    for gap in (slow, slow, slow, slow, fast):
        beats.append(beats[-1] + gap)
    assert runs.newest(tuple(beats), dict.fromkeys(beats, V), beats[-1], FS) is None
    beats += [beats[-1] + i * fast for i in (1, 2, 3)]
    found = runs.newest(tuple(beats), dict.fromkeys(beats, V), beats[-1], FS)
    assert found is not None
    assert found.rate_per_min == pytest.approx(150)


def test_a_run_counts_until_three_seconds_behind_its_last_beat():
    assert of([V] * 5, after_s=2.9) is not None
    assert of([V] * 5, after_s=3.0) is None


def test_beats_without_a_class_yet_are_passed_over():
    assert of([V] * 6, unnamed=1) is not None
    assert of([V] * 6, unnamed=2) is None
