"""Rhythms that are made, not recorded: rates, shapes and heights that 122 patients do not have, up to 300 beats a minute.

They widen what a network has seen; none of them is ever scored. Each is of a patient of its own: one or two shapes of normal beats,
one or two of wide ones, a rhythm, and what comes between the beats (P and T waves, fibrillating atria, a paced beat's spike).
"""

from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.beats import BeatClass
from models.training.corpus import Beats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FS_HZ = 360.0
LENGTH_S = 32.0
EDGE_S = 0.5  # left without beats at both ends


def patient(chance: np.random.Generator) -> Beats:
    """One lead of half a minute, in millivolt, with its beats; ectopic wide beats are V, all others N."""
    at_s, kind = _rhythm(chance)
    t = np.arange(round(LENGTH_S * FS_HZ)) / FS_HZ
    lead = np.zeros(len(t))
    usual = float(np.median(np.diff(at_s))) if len(at_s) > 2 else 1.0
    height = even_in_log(chance, 0.3, 3.0)
    shapes = {
        int(BeatClass.N): _complex(chance, chance.uniform(0.04, 0.12), height),
        int(BeatClass.V): _complex(chance, chance.uniform(0.12, 0.2), height * chance.uniform(0.6, 1.8)),
    }
    # By the length of the cycle, so that a T wave ends before the next beat.
    t_at = min(0.3, 0.45 * usual) * chance.uniform(0.8, 1.1)
    t_wave = _wave(t_at, min(0.07, 0.13 * usual) * chance.uniform(0.6, 1.2), chance.normal() * 0.35 * height)
    if chance.random() < 0.15:
        t_wave = _wave(t_at, min(0.06, 0.12 * usual), chance.uniform(0.5, 1.5) * height)
    p_height = 0.0 if chance.random() < 0.35 else chance.uniform(0.03, 0.3) * np.sign(chance.normal())
    p_wave = _wave(-min(0.16, 0.3 * usual), 0.02 * chance.uniform(0.7, 1.5), p_height)
    for one, named in zip(at_s, kind, strict=True):
        scale = chance.uniform(0.92, 1.08)
        _put(lead, t, one, shapes[int(named)], scale)
        _put(lead, t, one, t_wave, -1.2 * scale if named == BeatClass.V else scale)
        if named == BeatClass.N:
            _put(lead, t, one, p_wave, scale)
    if chance.random() < 0.2:  # P waves that no beat follows
        lonely = _wave(0.0, 0.022, abs(p_height) + 0.1)
        for one in chance.uniform(0, LENGTH_S, int(chance.integers(1, 8))):
            if np.min(np.abs(at_s - one), initial=9.0) > 0.25:
                _put(lead, t, one, lonely, 1.0)
    if p_height == 0.0 and chance.random() < 0.6:
        rate_hz = chance.uniform(4, 8) + 0.3 * np.cumsum(chance.normal(size=len(t))) / np.sqrt(FS_HZ * len(t))
        lead += chance.uniform(0.02, 0.12) * np.sin(2 * np.pi * np.cumsum(rate_hz) / FS_HZ)
    return Beats("made", lead[None].astype(np.float32), FS_HZ, at_s, kind, ((0.0, LENGTH_S),))


def even_in_log(chance: np.random.Generator, least: float, most: float) -> float:
    """A factor between these: as likely to double as to halve."""
    return float(np.exp(chance.uniform(float(np.log(least)), float(np.log(most)))))


def _rhythm(chance: np.random.Generator) -> "tuple[Floats, NDArray[np.int64]]":
    mean_s = 60 / even_in_log(chance, 28, 300)
    spread = chance.choice([0.005, 0.03, 0.08, 0.2], p=[0.4, 0.3, 0.15, 0.15])
    early = chance.choice([0.0, 0.1, 0.5], p=[0.5, 0.35, 0.15]) if mean_s > 0.45 else 0.0
    wide = chance.random() < 0.12  # the whole rhythm is ventricular
    step_at = chance.uniform(8, 24) if chance.random() < 0.2 else 2 * LENGTH_S
    times, kind = list[float](), list[int]()
    at = EDGE_S + chance.uniform(0, mean_s)
    while at < LENGTH_S - EDGE_S:
        times.append(at)
        kind.append(int(BeatClass.V if wide else BeatClass.N))
        if at > step_at:
            mean_s, step_at = float(np.clip(mean_s * np.exp(chance.uniform(-0.8, 0.8)), 0.2, 2.1)), 2 * LENGTH_S
        cycle = max(0.19, mean_s * (1 + spread * chance.normal()))
        if chance.random() < early:
            after = max(0.24, cycle * chance.uniform(0.45, 0.8))
            for _ in range(int(chance.choice([1, 2, 3, 6], p=[0.7, 0.15, 0.1, 0.05]))):
                if at + after >= LENGTH_S - EDGE_S:
                    break
                at += after
                times.append(at)
                kind.append(int(BeatClass.V))
                after = max(0.24, after * chance.uniform(0.9, 1.1))
            cycle *= chance.uniform(1.0, 1.4)
        at += cycle
    return np.array(times), np.array(kind, np.int64)


def _complex(chance: np.random.Generator, width_s: float, height: float) -> "list[tuple[float, float, float, bool]]":
    """One to four waves next to one another; the mark of the beat is in their middle."""
    n = int(chance.integers(1, 5))
    parts = chance.dirichlet(np.full(n, 2.0)) * width_s
    sign = np.sign(chance.normal())
    pointed = bool(chance.random() < 0.25)
    heights = height * chance.dirichlet(np.full(n, 0.8))
    heights /= heights.max() / height
    begin = -width_s / 2
    out: list[tuple[float, float, float, bool]] = []
    for part, tall in zip(parts, heights, strict=True):
        out.append((begin + part / 2, max(part / 4, 0.006), sign * tall, pointed))
        begin, sign = begin + part, -sign
    return out


def _wave(at_s: float, sigma_s: float, height: float) -> "list[tuple[float, float, float, bool]]":
    return [(at_s, max(sigma_s, 0.012), height, False)]


def _put(
    lead: "Floats", t: "Floats", at_s: float, shape: "list[tuple[float, float, float, bool]]", scale: float
) -> None:
    for offset, sigma, height, pointed in shape:
        near = slice(*np.searchsorted(t, [at_s + offset - 4 * sigma, at_s + offset + 4 * sigma]))
        apart = np.abs(t[near] - at_s - offset)
        wave = np.maximum(0, 1 - apart / (2 * sigma)) if pointed else np.exp(-0.5 * (apart / sigma) ** 2)
        lead[near] += scale * height * wave
