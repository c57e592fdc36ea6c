"""What a beat is beside the patient's last beats: worked out anew by NumPy's own median, and bounded however many come."""

import numpy as np

from models.signal import supraventricular as supra
from models.signal.beats import FEATURES

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
