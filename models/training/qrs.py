"""Make the network that finds beats: `wardlink models train qrs`.

It learns from DS1 of mitdb and from ludb; DS2 and the paced records are never read. Noise of nstdb, other sampling rates, mixtures of
leads, turned electrodes, hum, steps of gain and pauses are added, so that it has seen more than 122 patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from models.evaluation.beats import BeatClass
from models.signal import frames, front
from models.training import corpus, patients
from models.training.descent import array, compiled, move, rest, slope_beside
from models.training.network import RATE_HZ, STRIDE, Design, apply, begin, export

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.training.corpus import Beats
    from models.training.network import Pairs, Params

    Floats = NDArray[np.float32]

DESIGN = Design("qrs", outputs=4)
SEED = 20
WINDOW_HOPS = 48
STEPS = WINDOW_HOPS * frames.WIDE_HOP // STRIDE
STEP_HZ = RATE_HZ / STRIDE
UNJUDGED_S = 4.0  # of each window: the scale and the contexts fill
WIDTH_S = 0.03
MOVED_S, NOISE_HZ = 300.0, 360
ROUNDS = 700
GROUPS, GROUP = 4, 12
LEARNING_RATE = 3e-3
# For what a beat is: a weight for each class, as most beats are normal.
CLASS_WEIGHT = {BeatClass.N: 0.3, BeatClass.S: 1.0, BeatClass.V: 1.0}
STRETCHES = tuple(np.linspace(0.8, 1.25, 10))


@dataclass(frozen=True, eq=False)
class Batch:
    """`x`: (windows, samples); `beat`: target of the first logit, (windows, steps); `judged`: its weight; `kind`: weights of N, S, V."""

    x: "Floats"
    beat: "Floats"
    judged: "Floats"
    kind: "Floats"


class Source:
    """Windows without end, from some recordings; the same seed gives the same windows."""

    def __init__(self, recordings: Path, names: Sequence[str], short: Sequence[str], seed: int) -> None:
        """`names`: of mitdb; `short`: of ludb."""
        self._chance = np.random.default_rng(seed)
        self._long = [corpus.mitdb(recordings, name) for name in names]
        self._short = [corpus.ludb(recordings, name) for name in short]
        self._noise = [corpus.noise(recordings, name) for name in ("bw", "ma")]
        # Figure `qrs-noise` disturbs with the rest of it.
        self._noise.append(corpus.noise(recordings, "em")[:, : round(MOVED_S * NOISE_HZ)])

    def __iter__(self) -> Iterator[Batch]:
        """Batches of GROUPS groups, one of them from ludb or made, by turns; each group has a stretch of its own."""
        others = self._others()
        while True:
            chosen = [next(others), *[self._long] * (GROUPS - 1)]
            parts = [self._group(records) for records in chosen]
            yield Batch(
                *(np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "beat", "judged", "kind"))
            )

    def _others(self) -> "Iterator[list[Beats]]":
        while True:
            yield self._short
            yield [patients.patient(self._chance) for _ in range(GROUP)]

    def _group(self, records: "list[Beats]") -> Batch:
        chance = self._chance
        stretch = chance.choice(STRETCHES)
        fs_hz = float(records[0].fs_hz * stretch)
        n = frames.plan(fs_hz).hop * WINDOW_HOPS
        signals = np.zeros((GROUP, n))
        beat, judged = np.zeros((GROUP, STEPS), np.float32), np.zeros((GROUP, STEPS), np.float32)
        kind = np.zeros((GROUP, STEPS, 3), np.float32)
        for row in range(GROUP):
            record = records[chance.integers(len(records))]
            at, known, classes = self._take(record, signals[row], n)
            self._label(
                at / fs_hz, classes, [(a / fs_hz, b / fs_hz) for a, b in known], beat[row], judged[row], kind[row]
            )
        _, hops = frames.feed(frames.begin(GROUP, fs_hz), signals, fs_hz)
        state = front.begin(GROUP)
        seen: list[Floats] = []
        for hop in hops:
            state, _, x = front.step(state, hop.wide)
            seen.append(x)
        return Batch(np.concatenate(seen, axis=1), beat, judged, kind)

    def _take(
        self, record: "Beats", out: "NDArray[np.float64]", n: int
    ) -> "tuple[NDArray[np.float64], list[tuple[float, float]], NDArray[np.int64]]":
        """Fill a window; give its beats (in samples of it), where they are known, and their classes."""
        chance = self._chance
        length: int = record.leads.shape[1]
        lead = self._lead(record)
        if length >= n:
            start = int(chance.integers(length - n + 1))
            out[:] = lead[start : start + n]
            at, classes = record.at_s * record.fs_hz - start, record.kind
            known = [(a * record.fs_hz - start, b * record.fs_hz - start) for a, b in record.judged_s]
        else:  # what is known of a short recording, again and again
            ((a, b),) = record.judged_s
            first, last = max(0, round(a * record.fs_hz)), min(length, round(b * record.fs_hz))
            piece, times = lead[first:last], 1 + n // (last - first)
            out[:] = np.tile(piece, times)[:n]
            once = record.at_s * record.fs_hz - first
            at = np.concatenate([once + k * len(piece) for k in range(times)])
            classes, known = np.tile(record.kind, times), [(0.0, float(n))]
        inside = (at >= -50) & (at < n + 50)
        at, classes = at[inside], classes[inside]
        at, classes = self._pause(out, at, classes)
        out *= patients.even_in_log(chance, 0.35, 2.5) * (-1 if chance.random() < 0.2 else 1)
        self._disturb(out, record.fs_hz)
        return at, known, classes

    def _lead(self, record: "Beats") -> "Floats":
        chance, leads = self._chance, record.leads
        one = leads[chance.integers(len(leads))]
        if chance.random() < 0.35:
            other = leads[chance.integers(len(leads))]
            angle = chance.uniform(-np.pi, np.pi)
            return np.cos(angle) * one + np.sin(angle) * other
        return one

    def _pause(
        self, out: "NDArray[np.float64]", at: "NDArray[np.float64]", classes: "NDArray[np.int64]"
    ) -> "tuple[NDArray[np.float64], NDArray[np.int64]]":
        """Now and then some beats are not there: the heart stops, or the lead is at the end of its amplifier; noise is added to both."""
        chance = self._chance
        if chance.random() > 0.2 or len(at) < 8:
            return at, classes
        first = int(chance.integers(2, len(at) - 4))
        last = min(len(at) - 1, first + int(chance.integers(2, 9)))
        begin_at, end = (int(at[k - 1] * 0.35 + at[k] * 0.65) for k in (first, last))
        begin_at, end = max(begin_at, 0), min(end, len(out))
        if end > begin_at:
            out[begin_at:end] = np.linspace(out[begin_at], out[end - 1], end - begin_at)
            if chance.random() < 0.4:
                out[begin_at:end] += chance.choice([-1, 1]) * patients.even_in_log(chance, 1.5, 150)
        keep = np.ones(len(at), bool)
        keep[first:last] = False
        return at[keep], classes[keep]

    def _disturb(self, out: "NDArray[np.float64]", fs_hz: float) -> None:
        chance, n = self._chance, len(out)
        size = float(np.percentile(np.abs(out - np.median(out)), 99)) + 1e-3
        if chance.random() < 0.5:
            for _ in range(int(chance.integers(1, 4))):
                kind = self._noise[chance.integers(3)]
                length: int = kind.shape[1]
                start = int(chance.integers(length - n))
                noise = kind[chance.integers(2), start : start + n].astype(np.float64)
                noise *= size / (np.std(noise) + 1e-6) * 10 ** (-chance.uniform(0, 26) / 20)
                if chance.random() < 0.6:  # a burst
                    a, lasts = chance.integers(n), int(chance.uniform(1, 12) * fs_hz)
                    window = np.zeros(n)
                    window[a : a + lasts] = 1
                    noise *= np.convolve(window, np.hanning(int(0.3 * fs_hz)) / (0.15 * fs_hz), "same")
                out += noise
        if chance.random() < 0.25:
            t = np.arange(n) / fs_hz
            out += size * 10 ** (-chance.uniform(6, 34) / 20) * np.sin(2 * np.pi * chance.choice([50, 60]) * t)
        if chance.random() < 0.3:
            out += chance.normal(size=n) * size * 10 ** (-chance.uniform(12, 36) / 20)
        if chance.random() < 0.12:
            out[chance.integers(n) :] *= patients.even_in_log(chance, 0.4, 2.5)
        if chance.random() < 0.06:
            out[chance.integers(n) :] += chance.normal() * 3 * size

    def _label(
        self,
        at_s: "NDArray[np.float64]",
        classes: "NDArray[np.int64]",
        known_s: list[tuple[float, float]],
        beat: "Floats",
        judged: "Floats",
        kind: "Floats",
    ) -> None:
        delay_s = frames.DELAY_S + DESIGN.latency_s
        of_step = np.arange(STEPS) / STEP_HZ - delay_s
        for one, named in zip(at_s, classes, strict=True):
            middle = round((one + delay_s) * STEP_HZ)
            near = slice(max(0, middle - 8), max(0, min(STEPS, middle + 9)))
            np.maximum(beat[near], np.exp(-0.5 * ((of_step[near] - one) / WIDTH_S) ** 2), out=beat[near])
            if 0 <= middle < STEPS and named in CLASS_WEIGHT:
                kind[max(0, middle - 1) : middle + 2, named] = CLASS_WEIGHT[BeatClass(named)]
        for a, b in known_s:
            judged[(of_step >= max(a, UNJUDGED_S)) & (of_step < b)] = 1
        kind *= judged[:, None]


def _loss(weights: "Params", running: "Pairs", batch: "tuple[jax.Array, ...]") -> "tuple[jax.Array, Pairs]":
    x, beat, judged, kind = batch
    logits, told = apply(DESIGN, weights, running, x, training=True)
    found = judged * (
        jnp.maximum(logits[..., 0], 0) - logits[..., 0] * beat + jnp.log1p(jnp.exp(-jnp.abs(logits[..., 0])))
    )
    named = -(kind * jax.nn.log_softmax(logits[..., 1:], -1)).sum(-1)
    return found.sum() / judged.sum() + 0.05 * named.sum() / (kind.sum() + 1), told


@compiled
def _step(
    weights: "Params",
    running: "Pairs",
    moments: "tuple[Params, Params]",
    batch: "tuple[jax.Array, ...]",
    number: "jax.Array",
    rate: "jax.Array",
) -> "tuple[Params, Pairs, tuple[Params, Params]]":
    """One round; `number` counts from 1."""
    slope, told = slope_beside(_loss)(weights, running, batch)
    weights, moments = move(weights, moments, slope, number, rate)
    return weights, told, moments


def train(
    recordings: Path, names: Sequence[str], short: Sequence[str], seed: int = SEED, rounds: int = ROUNDS
) -> bytes:
    """The .tflite file of a network that has seen these records of mitdb and of ludb."""
    weights, running = begin(DESIGN, seed)
    moments = rest(weights)
    for number, batch in zip(range(1, rounds + 1), Source(recordings, names, short, seed), strict=False):
        data = (array(batch.x), array(batch.beat), array(batch.judged), array(batch.kind))
        rate = LEARNING_RATE * min(1, number / 40) * 0.5 * (1 + np.cos(np.pi * number / rounds))
        weights, running, moments = _step(weights, running, moments, data, jnp.float32(number), jnp.float32(rate))
    return export(DESIGN, weights, running)


def made(recordings: Path, *, folds: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each network (`models.training.procedures.Made`)."""
    short = corpus.ludb_names(recordings)
    yield "qrs.tflite", train(recordings, corpus.DS1, short)
    for fold in range(corpus.FOLDS if folds else 0):
        names = [n for n in corpus.DS1 if corpus.fold_of(f"mitdb/{n}") != fold]
        yield (
            f"folds/qrs-{fold}.tflite",
            train(recordings, names, [n for n in short if corpus.fold_of(f"ludb/{n}") != fold]),
        )
