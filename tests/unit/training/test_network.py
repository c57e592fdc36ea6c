"""A network that was trained is the one that runs: what JAX computes of a whole recording, LiteRT computes of it hop by hop."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.signal import networks
from models.signal.card import WeightsError
from models.training import network
from models.training.network import Block, Design

DESIGN = Design(
    "small",
    outputs=3,
    channels=6,
    blocks=(Block(5, 2, centred=True), Block(3, 4, centred=False), Block(3, 1, centred=True)),
)
HOPS, HOP = 9, 60


def with_statistics() -> "tuple[network.Params, network.Pairs]":
    """Weights and running statistics as a few rounds of training leave them: none of them at its first value."""
    weights, running = network.begin(DESIGN, 3)
    chance = np.random.default_rng(5)
    running = jax.tree.map(lambda x: x + chance.uniform(0.1, 0.5, x.shape).astype(np.float32), running)
    scales = jax.tree.map(lambda x: x + chance.normal(0, 0.2, x.shape).astype(np.float32), weights.scales)
    return weights._replace(scales=scales), running


def test_the_file_gives_hop_by_hop_what_was_trained_on_the_whole():
    weights, running = with_statistics()
    samples = np.random.default_rng(7).normal(size=(1, HOPS * HOP)).astype(np.float32)
    expected, _ = network.apply(DESIGN, weights, running, jnp.asarray(samples), training=False)
    data = network.export(DESIGN, weights, running)
    loaded = networks.parse(data, hashlib.sha256(data).hexdigest(), "1")
    kept, told = loaded.zeros(), list[np.ndarray]()
    for hop in range(HOPS):
        said, *after = loaded.run(samples[0, hop * HOP : (hop + 1) * HOP], *kept)
        kept = tuple(after)
        told.append(said[0, :, 0, :])
    assert np.concatenate(told) == pytest.approx(np.asarray(expected)[0], abs=2e-4)


def test_the_same_weights_give_the_same_bytes():
    weights, running = with_statistics()
    assert network.export(DESIGN, weights, running) == network.export(DESIGN, weights, running)


def test_a_network_of_another_hash_is_refused():
    data = network.export(DESIGN, *with_statistics())
    with pytest.raises(WeightsError, match="install the package again"):
        networks.parse(data, "0" * 64, "1")


def test_what_a_network_waits_for_is_its_latency():
    """An impulse moves no logit that lies further ahead than the design says it waits for."""
    weights, running = with_statistics()
    quiet = np.zeros((1, HOPS * HOP), np.float32)
    struck = quiet.copy()
    struck[0, at := 300] = 5.0
    silent, heard = (
        np.asarray(network.apply(DESIGN, weights, running, jnp.asarray(x), training=False)[0])[0]
        for x in (quiet, struck)
    )
    moved = np.flatnonzero(np.abs(heard - silent).max(axis=1) > 1e-6)
    middle_s = at / network.RATE_HZ + DESIGN.latency_s
    reach_s = DESIGN.latency_s + network.STRIDE / network.RATE_HZ
    assert moved[0] * network.STRIDE / network.RATE_HZ >= middle_s - reach_s
