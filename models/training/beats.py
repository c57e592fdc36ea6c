"""Make the network that names beats: `wardlink models train beats`.

It learns from the N, S and V beats of DS1 of mitdb as the product describes them beside the patient's dominant beat; how much the network
of beats says of each is taken from one that never saw the record. Fusion beats, paced ones and those in flutter teach nothing. The folds
learn from nine tenths of all 44 records that are not paced, for the figures `veb-folds` and `sveb-folds`; DS2 is only scored by the
network of the product, which has not seen it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from models.evaluation.beats import NOBODY, BeatClass, pairs
from models.signal import monitor, weights
from models.signal.beats import BESIDE, FEATURES, QRS, WINDOW, Described, beside
from models.signal.weights import Models
from models.training import corpus
from models.training.corpus import DS1, DS2
from models.training.descent import array, compiled, move, rest, slope, zeros
from models.training.tflite import Graph, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.float32 | np.float64]
    Params = dict[str, jax.Array]

SEED = 1
ROUNDS, BATCH = 2500, 256
LEARNING_RATE = 2e-3
SHARES = (0.4, 0.25, 0.35)  # of a batch: N, S, V
CHANNELS = ((7, 16), (5, 24), (3, 24))  # taps and channels; each halves the time
EMBEDDED, HIDDEN = 20, 48
DROPPED, DECAY = 0.2, 1e-4
EXCHANGED = 0.4  # of the beats lie beside the usual beat of another patient: what a beat is by itself counts too
EXCHANGING = (BeatClass.N, BeatClass.V)  # an S beat is what it is beside the patient's own only
MOST = 5.0  # standard deviations of a feature
PIECE_S = 60.0
NAMED = (BeatClass.N, BeatClass.S, BeatClass.V)


@dataclass(frozen=True, eq=False)
class Taught:
    """The beats of a record that the product finds: windows (n, 2, WINDOW), features (n, len(FEATURES)), the class of each.

    `beside_last`: (n, len(supraventricular.FEATURES)).
    `kind` is BeatClass; NONE of one that nobody annotated. `judged`: whether it lies outside flutter.
    """

    beat: "Floats"
    usual: "Floats"
    features: "Floats"
    beside_last: "Floats"
    kind: "NDArray[np.int64]"
    judged: "NDArray[np.bool_]"


def taught(recordings: Path, name: str) -> Taught:
    """What `mitdb/NAME` teaches."""
    record = corpus.mitdb(recordings, name)
    models = Models(weights.lethal(), weights.qrs(corpus.fold_of(f"mitdb/{name}")), describes=True)
    samples = record.leads.astype(np.float64)
    state, found = monitor.begin(len(samples), record.fs_hz, models), list[Described]()
    piece = round(PIECE_S * record.fs_hz)
    for at in range(0, samples.shape[1], piece):
        state, findings = monitor.feed(state, samples[:, at : at + piece], record.fs_hz, models)
        found += [one for finding in findings for one in finding.described]
    at_s = [one.at / record.fs_hz for one in found]
    kind = np.full(len(found), int(BeatClass.NONE))
    for reference, detected in pairs(list(record.at_s), at_s):
        if NOBODY not in (reference, detected):
            kind[detected] = record.kind[reference]
    judged = np.array([any(a <= at < b for a, b in record.judged_s) for at in at_s])
    return Taught(
        np.stack([one.beat for one in found]),
        np.stack([one.usual for one in found]),
        np.stack([one.features for one in found]),
        np.stack([one.beside_last for one in found]),
        kind,
        judged,
    )


def begin(seed: int) -> "Params":
    """Weights before the first round."""
    chance = np.random.default_rng(seed)

    def normal(*shape: int) -> "jax.Array":
        return array(chance.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])))

    weights: Params = {}
    inputs, time = 2, WINDOW
    for i, (taps, channels) in enumerate(CHANNELS):
        weights[f"taps{i}"], weights[f"bias{i}"] = normal(taps, inputs, channels), zeros(channels)
        inputs, time = channels, (time - taps) // 2 + 1
    weights |= {"embed": normal(time, inputs, EMBEDDED), "embed_bias": zeros(EMBEDDED)}
    weights |= {"hidden": normal(2 * EMBEDDED + len(FEATURES), HIDDEN), "hidden_bias": zeros(HIDDEN)}
    return weights | {"head": normal(HIDDEN, len(NAMED)) * 0.3, "head_bias": zeros(len(NAMED))}


def apply(
    weights: "Params", beat: "jax.Array", usual: "jax.Array", features: "jax.Array", key: "jax.Array | None" = None
) -> "jax.Array":
    """Logits of N, S and V, (n, 3); `features` in standard deviations; with `key` some of what is known is dropped."""
    one, other = (_lead(weights, jnp.stack([beat[:, i], usual[:, i]], -1)) for i in (0, 1))
    known = jnp.concatenate([(one + other) / 2, jnp.maximum(one, other), features], -1)
    if key is not None:
        known *= jax.random.bernoulli(key, 1 - DROPPED, known.shape) / (1 - DROPPED)
    hidden = jax.nn.relu(known @ weights["hidden"] + weights["hidden_bias"])
    return hidden @ weights["head"] + weights["head_bias"]


def _lead(weights: "Params", x: "jax.Array") -> "jax.Array":
    for i, (taps, _) in enumerate(CHANNELS):
        steps = (x.shape[1] - taps) // 2 + 1
        shifted = [x[:, k : k + 2 * steps - 1 : 2] for k in range(taps)]
        kernel = weights[f"taps{i}"]
        x = jax.nn.relu(jnp.concatenate(shifted, -1) @ kernel.reshape(-1, kernel.shape[2]) + weights[f"bias{i}"])
    return jax.nn.relu(x.reshape(len(x), -1) @ weights["embed"].reshape(-1, EMBEDDED) + weights["embed_bias"])


def _loss(weights: "Params", batch: "tuple[jax.Array, ...]", key: "jax.Array") -> "jax.Array":
    beat, usual, features, kind = batch
    logits = apply(weights, beat, usual, features, key)
    size = sum((v**2).sum() for name, v in weights.items() if not name.endswith("bias"))
    return -(jax.nn.one_hot(kind, len(NAMED)) * jax.nn.log_softmax(logits)).sum(-1).mean() + DECAY * size


@compiled
def _step(
    weights: "Params",
    moments: "tuple[Params, Params]",
    batch: "tuple[jax.Array, ...]",
    key: "jax.Array",
    number: "jax.Array",
    rate: "jax.Array",
) -> "tuple[Params, tuple[Params, Params]]":
    """One round; `number` counts from 1."""
    return move(weights, moments, slope(_loss)(weights, batch, key), number, rate)


def _exchanged(
    chance: np.random.Generator, used: Sequence[Taught], beat: "Floats", usual: "Floats", features: "Floats"
) -> "tuple[Floats, Floats]":
    """Usual beats and features of beats, some of which lie beside another patient's usual beat now, in that one's units."""
    usual, features = usual.copy(), features.copy()
    for row in np.flatnonzero(chance.random(len(beat)) < EXCHANGED):
        other = used[int(chance.integers(len(used)))]
        usual[row] = other.usual[int(chance.integers(len(other.usual)))]
        features[row, : len(BESIDE)] = beside(beat[row].astype(np.float64), usual[row].astype(np.float64))
    return usual, features


def _varied(
    chance: np.random.Generator, beat: "Numbers", usual: "Numbers", features: "Numbers"
) -> "tuple[Floats, Floats, Floats]":
    """Other electrodes, one lead only, other heights, some noise and wander: what 44 patients do not show."""
    n = len(beat)
    angle = np.where(chance.random(n) < 0.5, chance.uniform(-np.pi, np.pi, n), 0.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    beat, usual = (np.einsum("nij,njt->nit", turn, x) for x in (beat, usual))
    alone, swapped = chance.random(n) < 0.2, chance.random(n) < 0.3
    for x in (beat, usual):
        x[alone, 1] = x[alone, 0]
        x[swapped] = x[swapped][:, ::-1]
    height = np.maximum(np.ptp(usual[:, :, QRS], axis=2), 0.1)[:, :, None]
    beat, usual = beat / height, usual / height
    beat = beat + (chance.random(n) < 0.3)[:, None, None] * chance.uniform(0, 0.1, (n, 1, 1)) * chance.normal(
        size=beat.shape
    )
    t = np.arange(WINDOW) / 120
    swing = np.sin(2 * np.pi * chance.uniform(0.5, 3, (n, 2, 1)) * t + chance.uniform(0, 2 * np.pi, (n, 2, 1)))
    beat = beat + (chance.random((n, 1, 1)) < 0.4) * chance.uniform(0, 0.25, (n, 2, 1)) * swing
    features = features + 0.03 * np.abs(features) * chance.normal(size=features.shape)
    features = np.where(chance.random(features.shape) < 0.03, 0, features)
    return np.clip(beat, -4, 4).astype("f4"), np.clip(usual, -4, 4).astype("f4"), features.astype("f4")


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights, and mean and standard deviation of the features."""

    weights: "Params"
    mean: "Floats"
    spread: "Floats"


def train(used: Sequence[Taught], seed: int = SEED, rounds: int = ROUNDS) -> Trained:
    """A network that has seen these records; each gives by the root of how many beats of a class it has."""
    chance, key = np.random.default_rng(seed), jax.random.PRNGKey(seed)
    known = np.concatenate([t.features for t in used])
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-3
    pools = [[(t, rows) for t in used if len(rows := np.flatnonzero((t.kind == kind) & t.judged))] for kind in NAMED]
    share = [np.sqrt([len(rows) for _, rows in pool]) for pool in pools]
    weights = begin(seed)
    moments = rest(weights)
    for number in range(1, rounds + 1):
        parts: list[tuple[Floats, Floats, Floats]] = []
        kind: list[int] = []
        for k, pool in enumerate(pools):
            drawn = np.bincount(
                chance.choice(len(pool), int(BATCH * SHARES[k]), p=share[k] / share[k].sum()), minlength=len(pool)
            )
            for (t, rows), count in zip(pool, drawn, strict=True):
                at = chance.choice(rows, count)
                usual, known = t.usual[at], t.features[at]
                if NAMED[k] in EXCHANGING:
                    usual, known = _exchanged(chance, used, t.beat[at], usual, known)
                parts.append((t.beat[at], usual, known))
                kind += [k] * int(count)
        beat, usual, features = (np.concatenate([p[i] for p in parts]) for i in (0, 1, 2))
        scaled = np.clip((features - mean) / spread, -MOST, MOST)
        key, now = jax.random.split(key)
        rate = LEARNING_RATE * min(1, number / 50) * 0.5 * (1 + np.cos(np.pi * number / rounds))
        batch = tuple(array(values) for values in (*_varied(chance, beat, usual, scaled), np.array(kind)))
        weights, moments = _step(weights, moments, batch, now, jnp.float32(number), jnp.float32(rate))
    return Trained(weights, mean, spread)


def export(trained: Trained) -> bytes:
    """The .tflite file. Inputs: beat and usual of the first lead, of the second, features; output: logits of N, S and V."""
    weights = {name: np.asarray(value) for name, value in trained.weights.items()}
    graph = Graph("beats")
    leads = [graph.input(name, WINDOW, 2) for name in ("first", "second")]
    features = graph.input("features", 1, len(FEATURES))
    seen: list[Tensor] = []
    for x in leads:
        h = x
        for i in range(len(CHANNELS)):
            h = graph.convolution(h, weights[f"taps{i}"], weights[f"bias{i}"], stride=2, relu=True)
        seen.append(graph.convolution(h, weights["embed"], weights["embed_bias"], relu=True))
    # The larger of two that are not negative: one, and what the other is more.
    same = np.eye(EMBEDDED, dtype=np.float32)[None]
    nothing = np.zeros(EMBEDDED, np.float32)
    both = graph.beside(*seen)
    mean = graph.convolution(both, np.concatenate([same, same], axis=1) / 2, nothing)
    more = graph.convolution(both, np.concatenate([-same, same], axis=1), nothing, relu=True)
    scaled = graph.clip(
        graph.depthwise(features, (1 / (MOST * trained.spread))[None], -trained.mean / (MOST * trained.spread))
    )
    hidden = weights["hidden"].copy()
    hidden[2 * EMBEDDED :] *= MOST
    known = graph.beside(mean, graph.add(seen[0], more), scaled)
    h = graph.convolution(known, hidden[None], weights["hidden_bias"], relu=True)
    return graph.build([graph.convolution(h, weights["head"][None], weights["head_bias"])])


def held_out(fold: int) -> tuple[str, ...]:
    """The records that a fold (0 to 9) never saw."""
    return tuple(sorted((*DS1, *DS2))[fold :: corpus.BEAT_FOLDS])


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each network (`models.training.procedures.Made`)."""
    known = all_taught(recordings, folds=folds)
    yield "beats.tflite", export(train([known[name] for name in DS1]))
    for fold in range(corpus.BEAT_FOLDS if folds else 0):
        out = held_out(fold)
        yield f"folds/beats-{fold}.tflite", export(train([t for name, t in known.items() if name not in out]))


def all_taught(recordings: Path, *, folds: bool) -> Mapping[str, Taught]:
    """What each record of DS1 teaches, in their order; with `folds` of DS1 and DS2."""
    names = sorted((*DS1, *DS2)) if folds else DS1
    with get_context("spawn").Pool(2) as pool:
        return dict(zip(names, pool.map(partial(taught, recordings), names, chunksize=1), strict=True))
