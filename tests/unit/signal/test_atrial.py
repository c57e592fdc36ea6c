"""Fibrillation of the atria is told from beats, P waves and what lies between; how the samples came changes nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.signal import beats, frames, monitor, supraventricular, weights
from models.signal.beats import Class, Described, Kind
from models.signal.rhythm import atrial
from models.training import fibrillation
from protocols.ecgfile.wfdb import read_annotations, read_record

CAPTURES = Path(__file__).parents[2] / "captures"
PLAN = frames.plan(360.0)
RNG = np.random.default_rng(11)


def rows_of(intervals_s: np.ndarray, *, p_mv: float, kinds: str = "N") -> tuple[atrial.Row, ...]:
    """Beats with a P wave of this height in their window, and noise of 0.02 beside it; classes are repeated."""
    p_wave = p_mv * np.exp(-(((np.arange(21) - 10) / 3.0) ** 2))
    at = np.rint(np.cumsum(intervals_s) * PLAN.fs_hz).astype(int)
    return tuple(
        atrial.Row(
            int(a),
            Kind(kinds[i % len(kinds)]),
            (0.0, float(kinds[i % len(kinds)] == "V")),
            np.array([10 * p_mv, 0.2], np.float32),
            (np.stack([p_wave, p_wave]) + 0.02 * RNG.normal(size=(2, 21))).astype(np.float32),
            np.zeros((2, len(atrial.LAGS))),
            np.zeros((2, len(atrial.LAGS))),
        )
        for i, a in enumerate(at)
    )


def values_of(rows: tuple[atrial.Row, ...]) -> dict[str, float]:
    return dict(zip(atrial.FEATURES, atrial.features(rows, PLAN.fs_hz).tolist(), strict=True))


def irregular(count: int) -> np.ndarray:
    return 0.7 * np.exp(RNG.normal(0, 0.24, count))


def even(count: int) -> np.ndarray:
    return 0.8 + RNG.normal(0, 0.01, count)


COUNT = atrial.WINDOW + 1


def test_intervals_without_order_and_windows_without_a_p_wave_are_told_from_sinus_rhythm():
    atria, sinus = values_of(rows_of(irregular(COUNT), p_mv=0.0)), values_of(rows_of(even(COUNT), p_mv=0.15))
    assert atria["entropy"] > -1.4 > sinus["entropy"]  # the limit that the paper of the entropy gives
    # Noise alone is as like as not. Energy of a wave of 0.15 mV without its mean 0.054, of noise of 0.02 mV 0.008: 0.87 is the same.
    assert abs(atria["p_alike"]) < 0.05
    assert sinus["p_alike"] == pytest.approx(0.87, abs=0.03)


def test_ventricular_bigeminy_is_even_between_its_normal_beats():
    pairs = np.tile([0.5, 1.1], COUNT)[:COUNT] + RNG.normal(0, 0.005, COUNT)
    found = values_of(rows_of(pairs, p_mv=0.15, kinds="NV"))
    assert found["second"] < 0.03  # each interval is that of two beats before
    assert found["chance_v"] == pytest.approx(0.5, abs=0.02)


def test_waves_of_flutter_repeat_themselves_after_their_own_length():
    t = np.arange(720) / 120
    flutter = 0.2 * np.sin(2 * np.pi * 5 * t)[None]
    products, energies = atrial.between(flutter, 300, 420, np.ones(1))
    like = (products / energies)[0]
    assert atrial.LAGS[int(np.argmax(like[atrial.FLUTTER])) + atrial.FLUTTER.start] == 24  # 5 Hz at 120 Hz
    noise = 0.2 * RNG.normal(size=(1, 720))
    products, energies = atrial.between(noise, 300, 420, np.ones(1))
    assert (products / energies)[0].max() < 0.8 < like[atrial.FLUTTER].max()


@pytest.mark.parametrize(("before", "here"), [(-5, 100), (300, 900), (400, 410), (400, 400)])
def test_what_is_not_kept_or_too_short_says_nothing(before: int, here: int):
    products, energies = atrial.between(np.ones((2, 720)), before, here, np.ones(2))
    assert not products.any()
    assert not energies.any()


@pytest.mark.parametrize(
    "rows",
    [rows_of(np.full(COUNT, 0.8), p_mv=0.0, kinds="V"), rows_of(np.full(COUNT, 2.9), p_mv=0.0)],
    ids=["ventricular beats alone", "as slow as can be"],
)
def test_degenerate_windows_give_finite_features(rows: tuple[atrial.Row, ...]):
    assert np.isfinite(atrial.features(rows, PLAN.fs_hz)).all()


def test_a_pause_and_a_beat_of_which_nothing_is_known_begin_anew():
    signal = beats.begin(2)
    described = Described(
        0, np.zeros((2, beats.WINDOW), np.float32), np.zeros((2, beats.WINDOW), np.float32),
        np.zeros(len(beats.FEATURES), np.float32), np.zeros(len(supraventricular.FEATURES), np.float32),
    )  # fmt: skip
    normal = Class(Kind.N, (1.0, 0.0, 0.0))
    state = atrial.begin()
    for at in (300, 600, 900):
        state = atrial.add(state, signal, at, normal, described, PLAN)
    assert [row.at for row in state.rows] == [300, 600, 900]
    pause = round((atrial.LONGEST_S + 0.1) * PLAN.fs_hz)
    assert [row.at for row in atrial.add(state, signal, 900 + pause, normal, described, PLAN).rows] == [900 + pause]
    assert atrial.add(state, signal, 1200, Class(Kind.Q), None, PLAN).rows == ()


def found(samples: np.ndarray, fs_hz: float, piece: int) -> list[atrial.Verdict]:
    models = weights.product()
    state, out = monitor.begin(len(samples), fs_hz, models), list[atrial.Verdict]()
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], fs_hz, models)
        out += [verdict for finding in findings for verdict in finding.atria]
    assert len(state.atrial.rows) <= atrial.WINDOW + 1
    return out


def test_recorded_fibrillation_is_told_bit_for_bit_however_it_came():
    path = CAPTURES / "mitdb-202-af"
    record = read_record(path)
    whole = found(record.physical(), record.fs_hz, record.raw.shape[1])
    begins = next(mark.sample for mark in read_annotations(path) if mark.aux == "(AFIB")
    # Sinus rhythm goes before. The mean reaches over LAG beats to each side; fibrillation is to be found before they are all its own.
    # From 120 s on this patient's fibrillation is conducted so evenly that it is missed, as the card of the figure says of 202.
    first = next(verdict.first for verdict in whole if verdict.fibrillation)
    assert abs(first - begins) < 20 * record.fs_hz
    assert all(v.fibrillation for v in whole if 20 * record.fs_hz < v.first - begins < 50 * record.fs_hz)
    assert found(record.physical(), record.fs_hz, 977) == whole


def test_sinus_rhythm_is_none():
    record = read_record(CAPTURES / "mitdb-100-normal")
    samples = np.tile(record.physical(), 2)  # longer than a window and the scores that decide
    verdicts = found(samples, record.fs_hz, 100_000)
    assert verdicts
    assert not any(verdict.fibrillation for verdict in verdicts)


def test_without_classes_of_beats_nothing_is_said():
    record = read_record(CAPTURES / "mitdb-202-af")
    models = replace(weights.product(), beats=None)
    _, findings = monitor.feed(monitor.begin(2, record.fs_hz, models), record.physical(), record.fs_hz, models)
    assert not any(finding.atria for finding in findings)


def test_every_record_is_left_out_by_one_fold():
    names = [name for fold in range(fibrillation.FOLDS) for name in fibrillation.held_out(fold)]
    assert len(names) == len(set(names)) == 48
