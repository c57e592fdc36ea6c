"""Find heartbeats in all usable leads together, by what a network says of each.

The network (models/weights/qrs.tflite, made by models/training/qrs.py) gives for each sixtieth of a second and lead how much it
looks like the middle of a beat; `decision` makes beats of it. A beat is stated at most `LATENCY_S` and one hop
behind its R wave, those found by search-back later.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.signal.averages import windows
from models.signal.frames import BAND_HOP, WIDE_HOP
from models.signal.qrs.beat import CEILING_MV, SMOOTH, USABLE_MISSING, Beat, Heard, envelope
from models.signal.qrs.decision import RULE, STEPS, Decision, Rule, decide, judged, undecided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.signal.frames import Hop, Plan
    from models.signal.networks import Network

    Floats = NDArray[np.float64]
    Kept = tuple[NDArray[np.float32], ...]

RUNS = (32, 8, 2, 1)  # hops that the network takes at once, as many as there are


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What is watched. `since`: sample from which on each lead can be used without a break; `last`: the last beat told.

    `counted`: the sure ones of the window of `beating` before `judged`.
    """

    since: tuple[int, ...]
    last: int = 0
    counted: tuple[int, ...] = ()
    judged: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class NetworkState:
    """Contexts of the network and the tail of the band, of each lead; the decision; what is watched."""

    kept: "tuple[Kept, ...]"
    band: "Floats"
    decision: Decision
    watch: Watch


def begin(leads: int, network: "Network") -> NetworkState:
    """State before the first hop."""
    return NetworkState(
        (network.zeros(),) * leads, np.zeros((leads, SMOOTH + 1)), undecided(leads), Watch((0,) * leads)
    )


def steps(
    state: NetworkState,
    hops: "Sequence[Hop]",
    plan: "Plan",
    seen: "NDArray[np.float32]",
    network: "Network",
    counted_hops: int,
    rule: Rule = RULE,
) -> tuple[NetworkState, tuple[tuple[Watch, Heard], ...]]:
    """Take hops and what a network sees of them (`front.steps`); `counted_hops`: the window of `beating`. What is watched behind each."""
    runs = [_run(network, known, samples) for known, samples in zip(state.kept, seen, strict=True)]
    band = np.concatenate([state.band, *(hop.band for hop in hops)], axis=1)
    heights = envelope(
        windows(band, SMOOTH + 1 + BAND_HOP, BAND_HOP)
    )  # of each hop by itself: a running sum has other bits from another beginning
    missing = np.array([hop.missing for hop in hops]).T
    usable = (missing <= USABLE_MISSING) & (heights.max(axis=2) <= CEILING_MV)
    logits = np.array([said for said, _ in runs], np.float64)
    decision, found = decide(state.decision, logits, heights.reshape(len(band), -1), usable, rule)
    watch = state.watch
    out: list[tuple[Watch, Heard]] = []
    first = state.decision.memory.done
    for i, (hop, able, beats) in enumerate(zip(hops, usable.T.tolist(), found, strict=True)):
        known = max(0, plan.sample_of(judged(first + (i + 1) * STEPS)))
        watch, heard = _watch(watch, beats, able, known, (hop.number + 1) * plan.hop, counted_hops, plan, rule)
        out.append((watch, heard))
    kept = tuple(after for _, after in runs)
    return NetworkState(kept, band[:, len(hops) * BAND_HOP :].copy(), decision, watch), tuple(out)


def _run(network: "Network", kept: "Kept", samples: "NDArray[np.float32]") -> "tuple[NDArray[np.float32], Kept]":
    """Logits (steps, 4) of one lead's samples (hops * 60,), and its contexts behind them."""
    hops, at = len(samples) // WIDE_HOP, 0
    said: list[NDArray[np.float32]] = []
    while at < hops:
        times = next(n for n in RUNS if n <= hops - at)
        part = samples[at * WIDE_HOP : (at + times) * WIDE_HOP]
        logits, *after = network.of(times).run(part, *kept)
        kept = tuple(after)
        said.append(logits[0, :, 0, :])
        at += times
    return said[0] if len(said) == 1 else np.concatenate(said), kept


def _watch(
    watch: Watch,
    found: tuple[Beat, ...],
    usable: "Sequence[bool]",
    known: int,
    end: int,
    counted_hops: int,
    plan: "Plan",
    rule: Rule,
) -> tuple[Watch, Heard]:
    """Behind a hop that ends at sample `end`; all before `known` has been judged."""
    since = watch.since if all(usable) else tuple(a if ok else end for a, ok in zip(watch.since, usable, strict=True))
    beats = tuple((at, beat) for beat in found if (at := plan.sample_of(beat.at)) > 0) if found else ()
    last, told, interrupted = watch.last, watch.counted, None
    if beats:
        last = max([last, *(at for at, _ in beats)])
        told = tuple(sorted({*told, *(at for at, beat in beats if beat.logits and beat.logits[0] > rule.sure)}))
        interrupted = max((at for at, beat in beats if beat.first), default=None)
    able = [a for a, ok in zip(since, usable, strict=True) if ok]
    oldest = known - counted_hops * plan.hop
    if told and told[0] <= oldest:
        told = tuple(at for at in told if at > oldest)
    quiet = max(0, known - max(last, min(able))) if able else 0
    heard = Heard(beats, known, tuple(usable), quiet, interrupted if able else end)
    return Watch(since, last, told, known), heard


def beating(watch: Watch, waves: "Sequence[int | None]", whole: int) -> float | None:
    """What share of the waves of each lead was found as beats, where it is greatest; None where no lead was usable for `whole` samples."""
    shares = [
        sum(at > since for at in watch.counted) / count
        for since, count in zip(watch.since, waves, strict=True)
        if count and watch.judged - since >= whole
    ]
    return max(shares, default=None)
