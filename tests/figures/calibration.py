"""Figure `calibration`: whether a stated confidence is kept, each record judged by trees and by constants that never saw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.certainty import calibration
from models.screening.alarms import LIVES
from models.screening.rhythm import LETHAL_ON, lethal_rhythm
from models.signal import explain
from models.signal.lethal import LethalScore
from models.training import meaning
from protocols.nomenclature import V_FIB
from tests.figures.entry import Entry, Figure
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Part = tuple[NDArray[np.float64], NDArray[np.bool_]]  # confidences, and whether each was right

# An alarm is right when it meets a lethal rhythm within ten seconds, as in the figure `vf-mit`; a score is told BEHIND_S behind what it is of.
MEETS_S, BEFORE_S = 10.0 - meaning.BEHIND_S, 1.0 + meaning.BEHIND_S
DRAWS = 500
SEED = 57


@dataclass(frozen=True, eq=False)
class Stated:
    """Confidences of one record, whether each was right, and the scores that they were made of; `alarms`: those told with an alarm."""

    record: str
    confidence: "NDArray[np.float64]"
    right: "NDArray[np.bool_]"
    scores: "NDArray[np.float64]"
    alarms: "Part"

    @property
    def told(self) -> "Part":
        """Those of the hops whose score raises an alarm."""
        which = self.scores >= LETHAL_ON
        return self.confidence[which], self.right[which]


def stated(hops: meaning.Hops, slope: float, shift: float) -> Stated:
    """What would be stated of each hop by these constants."""
    odds = np.array([explain.log_odds(float(score)) for score in hops.scores])
    confidence: NDArray[np.float64] = 1 / (1 + np.exp(-(slope * odds + shift)))
    raised = raising(hops)
    right = [
        bool(np.any(hops.right[(hops.end_s >= at - MEETS_S) & (hops.end_s <= at + BEFORE_S)]))
        for at in hops.end_s[raised]
    ]
    return Stated(hops.record, confidence, hops.right, hops.scores, (confidence[raised], np.array(right, np.bool_)))


def raising(hops: meaning.Hops) -> "NDArray[np.intp]":
    """The hops that raise an alarm: above the threshold when none stood; one ends when the rhythm has been gone for its delay."""
    held, until = frozenset[str](), -np.inf
    out: list[int] = []
    for i, (at, score) in enumerate(zip(hops.end_s, hops.scores, strict=True)):
        held = lethal_rhythm(held, None, LethalScore(float(score), 1.0), None)
        if held:
            if at > until:
                out.append(i)
            until = at + LIVES[V_FIB].off_s
    return np.array(out, np.intp)


def error(parts: Sequence["Part"]) -> float:
    """Expected calibration error over all of them."""
    return calibration(np.concatenate([c for c, _ in parts]), np.concatenate([r for _, r in parts])).error


def interval(parts: Sequence["Part"]) -> tuple[float, float]:
    """Bootstrap interval over records, percent 95: hops of one patient are alike, so records are drawn."""
    chance = np.random.default_rng(SEED)
    found = [error([parts[i] for i in chance.integers(0, len(parts), len(parts))]) for _ in range(DRAWS)]
    low, high = np.percentile(found, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _job(job: tuple[Path, str]) -> meaning.Hops:
    return meaning.hops(*job)


def cross_fitted(used: Sequence[meaning.Hops]) -> list[Stated]:
    """Each record by constants of the others."""
    out: list[Stated] = []
    for held_out in used:
        others = [u for u in used if u is not held_out]
        scores, right = np.concatenate([u.scores for u in others]), np.concatenate([u.right for u in others])
        out.append(stated(held_out, *meaning.platt(scores, right)))
    return out


def entry(used: Sequence[meaning.Hops]) -> Entry:
    """The figure over these records."""
    every = cross_fitted(used)
    told = [(s.record, s.told) for s in every if len(s.told[0])]
    parts = [part for _, part in told]
    alarms = [np.concatenate(column) for column in zip(*(s.alarms for s in every), strict=True)]
    curve = calibration(np.concatenate([c for c, _ in parts]), np.concatenate([r for _, r in parts]))
    return Entry(
        id="calibration",
        group="accuracy",
        value=round(error(parts), 4),
        unit="expected calibration error",
        gate=0.05,
        goal=0.02,
        reference="",
        higher_is_better=False,
        n=sum(len(c) for c, _ in parts),
        interval=interval(parts),
        details={
            "stated_right_n": [
                [round(float(s), 3), round(float(r), 3), int(n)]
                for s, r, n in zip(curve.stated, curve.right, curve.n, strict=True)
                if n
            ],
            "per_record_stated_right_n": {
                name: [round(float(c.mean()), 3), round(float(r.mean()), 3), len(c)] for name, (c, r) in told
            },
            "every_hop": round(error([(s.confidence, s.right) for s in every]), 4),
            "the_score_itself": round(error([(s.scores[s.scores >= LETHAL_ON], s.told[1]) for s in every]), 4),
            "at_the_alarm_stated_right_n": [*(round(float(column.mean()), 3) for column in alarms), len(alarms[0])],
        },
    )  # fmt: skip


def measure(recordings: Path) -> Sequence[Entry]:
    """Over vfdb and DS1."""
    return [entry(parallel.over(_job, [(recordings, record) for record in meaning.RECORDS]))]


FIGURES = (Figure("calibration", "accuracy", measure, ("vfdb", "mitdb"), yields=("calibration",)),)
