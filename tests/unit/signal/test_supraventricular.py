"""Which beats are supraventricular: what they are beside the patient's last beats, worked out anew, and a made rhythm with early ones."""

from dataclasses import replace

import numpy as np

from models.signal import monitor, weights
from models.signal import supraventricular as supra
from models.signal.beats import FEATURES, Kind
from tests.unit.signal.beats import Drawn, one_lead

COLUMNS = supra.Columns(FEATURES)


def rows(count: int) -> np.ndarray:
    out = np.random.default_rng(7).normal(size=(count, len(FEATURES))).astype(np.float32)
    for name in ("restless", "restless_long"):  # never negative
        out[:, FEATURES.index(name)] = np.abs(out[:, FEATURES.index(name)])
    return out


def of(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, FEATURES.index(name)]


def test_a_beat_is_held_against_the_last_sixty_four():
    features = rows(150)
    last, found = supra.begin(), list[np.ndarray]()
    for row in features:
        last, values = supra.step(last, row, COLUMNS)
        found.append(values)
        assert len(last.compared) <= 64
    values = dict(zip(supra.FEATURES, np.array(found).T, strict=True))
    for name in ("n_logit", "p_like", "p_usual"):
        x = of(features, name)
        expected = [0.0, *(x[i] - np.median(x[max(0, i - 64) : i]) for i in range(1, 150))]
        assert np.allclose(values[f"{name}_beside_last"], expected, atol=1e-6)
    expected = of(features, "before_long") / (of(features, "restless_long") + 0.02)
    assert np.allclose(values["before_long_by_restless_long"], expected, rtol=1e-5)
    assert np.allclose(values["former_width_s"], [0.0, *of(features, "width_s")[:-1]])
    assert np.allclose(values["former_p_like_beside_last"][1:], values["p_like_beside_last"][:-1])


def test_an_even_rhythm_of_alike_beats_differs_from_the_last_beats_in_nothing():
    same = np.repeat(rows(1), 30, axis=0)
    last, values = supra.begin(), np.empty(0)
    for row in same:
        last, values = supra.step(last, row, COLUMNS)
    told = dict(zip(supra.FEATURES, values.tolist(), strict=True))
    assert all(told[name] == 0 for name in told if name.endswith("beside_last"))


def test_early_beats_behind_another_p_wave_are_supraventricular_and_those_of_the_sinus_are_not():
    fs_hz, rr_s, length_s = 250, 0.85, 180.0
    sinus, early, at = list[float](), list[float](), 1.0
    while at < length_s - 2:
        sinus.append(at)
        if len(sinus) % 23 == 0:
            early.append(at + 0.62 * rr_s)
            at = early[-1]
        at += rr_s
    other = replace(Drawn(), p=(-0.15, -0.07), heights=(-0.12, -0.12, 1.1, -0.3, 0.3))
    lead = one_lead(fs_hz, sinus, length_s, Drawn()) + one_lead(fs_hz, early, length_s, other)
    noise = np.random.default_rng(4).normal(0, 0.004, (2, len(lead)))
    _, findings = monitor.feed(
        monitor.begin(2, fs_hz, weights.product()), np.stack([lead, 0.6 * lead]) + noise, fs_hz, weights.product()
    )
    named = {place / fs_hz: one for finding in findings for place, one in finding.classified if place > 60 * fs_hz}
    called = [at_s for at_s, one in named.items() if one.kind is Kind.S]
    expected = [at_s for at_s in early if at_s > 60]
    assert len(expected) >= 5
    assert [round(at_s, 1) for at_s in called] == [round(at_s, 1) for at_s in expected]
    assert all(one.kind is Kind.N for at_s, one in named.items() if at_s not in called)
    assert all(sum(one.chances or ()) > 0.999 for one in named.values())
