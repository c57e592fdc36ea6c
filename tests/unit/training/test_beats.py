"""The network that names beats: the file gives what was trained."""

import hashlib

import jax.numpy as jnp
import numpy as np
import pytest

from models.signal import networks
from models.signal.beats import FEATURES, WINDOW
from models.training import beats


def test_the_file_names_beats_as_the_trained_network_does():
    chance = np.random.default_rng(3)
    beat, usual = chance.normal(size=(2, 20, 2, WINDOW)).astype(np.float32)
    mean, spread = (
        chance.normal(size=len(FEATURES)).astype(np.float32),
        chance.uniform(0.3, 2, len(FEATURES)).astype(np.float32),
    )
    features = (mean + 3 * spread * chance.normal(size=(20, len(FEATURES)))).astype(
        np.float32
    )  # some lie beyond what is clipped
    weights = {name: value + 0.1 for name, value in beats.begin(5).items()}
    scaled = np.clip((features - mean) / spread, -beats.MOST, beats.MOST)
    assert (np.abs(scaled) == beats.MOST).any()
    expected = np.asarray(beats.apply(weights, jnp.asarray(beat), jnp.asarray(usual), jnp.asarray(scaled)))
    data = beats.export(beats.Trained(weights, mean, spread))
    assert len(data) <= 60_000
    loaded = networks.parse(data, hashlib.sha256(data).hexdigest(), "1")
    for i in range(20):
        first, second = (np.stack([beat[i, k], usual[i, k]], axis=-1) for k in (0, 1))
        (logits,) = loaded.run(first, second, features[i])
        assert logits.ravel() == pytest.approx(expected[i], rel=1e-3, abs=1e-3)


def test_a_fold_leaves_every_record_out_once():
    out = [name for fold in range(10) for name in beats.held_out(fold)]
    assert sorted(out) == sorted((*beats.DS1, *beats.DS2))
