"""Figure `reversal`: limb leads swapped on purpose, in recordings that are right as they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.certainty import interval
from models.signal import delineate, leads
from models.signal.delineate import weights as delineate_weights
from models.signal.leads import Finding, Swap
from models.signal.resting import beats_of_all
from models.training.delineate import load, names
from models.training.leads import asked
from protocols.ecgfile.wfdb import read_record
from tests.figures.entry import Entry, Figure
from wardlink import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LENGTH_S = 10.0
ASKED = (Swap.RA_LA, Swap.RA_LL, Swap.LA_LL)
TURNS = (Swap.RA_LA_LL, Swap.RA_LL_LA)
LEGS = (Swap.RA_RL, Swap.LA_RL, Swap.ARMS_LEGS)
BETWEEN_LEGS = 0.03  # what the right leg differs from the left one, as a share of what the right arm does
# The limb (0 right arm, 1 left arm, 2 left leg, 3 right leg) that the cables RA, LA, LL hang on: written here, not taken from the product.
HANGS: Mapping[Swap, tuple[int, int, int]] = {
    Swap.NONE: (0, 1, 2),
    Swap.RA_LA: (1, 0, 2),
    Swap.RA_LL: (2, 1, 0),
    Swap.LA_LL: (0, 2, 1),
    Swap.RA_LA_LL: (1, 2, 0),
    Swap.RA_LL_LA: (2, 0, 1),
    Swap.RA_RL: (3, 1, 2),
    Swap.LA_RL: (0, 3, 2),
    Swap.ARMS_LEGS: (3, 2, 1),
}


def swapped(samples: "Floats", swap: Swap) -> "Floats":
    """The twelve leads as they would have been recorded; Wilson's terminal moves with the electrodes that make it."""
    one, two = samples[0], samples[1]
    arm = np.zeros_like(one)  # potentials against the right arm
    limbs = [arm, one, two, two * (1 - BETWEEN_LEGS)]
    right, left, leg = (limbs[i] for i in HANGS[swap])
    before, after = (arm + one + two) / 3, (right + left + leg) / 3
    chest = samples[6:] + before - after
    return np.concatenate(
        [
            [left - right, leg - right, leg - left],
            [right - (left + leg) / 2, left - (right + leg) / 2, leg - (right + left) / 2],
            chest,
        ]
    )


@dataclass(frozen=True)
class Asked:
    """A record: whether the question has an answer by its diagnosis, and the finding for each arrangement."""

    name: str
    asked: bool
    found: Mapping[Swap, Finding]


def _findings(samples: "Floats", fs_hz: float, name: str, swaps: Iterable[Swap]) -> dict[Swap, Finding]:
    """Each arrangement is delineated anew; R waves are those of the recording as it is, as V1-V6 give them in any."""
    out: dict[Swap, Finding] = {}
    factors, place = leads.without(name), delineate_weights.without(name)
    peaks = beats_of_all(samples, fs_hz)
    for swap in swaps:
        moved = swapped(samples, swap)
        beats = delineate.delineate(moved, peaks, fs_hz, place)
        out[swap] = leads.judge(moved, beats, fs_hz, factors)
    return out


def judge_ludb(job: tuple[Path, str]) -> Asked:
    """Findings for `ludb/NAME` in every arrangement."""
    recordings, name = job
    record = load(recordings, name)
    return Asked(name, asked(recordings, name), _findings(record.samples, record.fs_hz, name, HANGS))


def _ecg12(job: tuple[Path, str]) -> Asked:
    recordings, name = job
    record = read_record(recordings / "ecg12" / name)
    samples = record.physical()[:, : round(LENGTH_S * record.fs_hz)]
    rhythm = " ".join(record.header.comments)
    diagnoses = rhythm.split("Dx:", 1)[-1].split()[0].split(",") if "Dx:" in rhythm else []
    return Asked(name, "AF" not in diagnoses, _findings(samples, record.fs_hz, name, (Swap.NONE, *ASKED)))


def _says(finding: Finding) -> bool:
    return finding.sure and finding.swap is not Swap.NONE


def _share(records: Sequence[Asked], swap: Swap) -> float:
    return round(100 * float(np.mean([_says(r.found[swap]) for r in records])), 1)


def summary(records: Sequence[Asked]) -> dict[str, object]:
    """Share of records in which each exchange is found, and found under its own name; what is said of the records as they are."""
    swaps = [s for s in records[0].found if s is not Swap.NONE] if records else []
    named = {
        str(s): round(100 * float(np.mean([_says(r.found[s]) and r.found[s].swap is s for r in records])), 1)
        for s in swaps
    }
    return {
        "n": len(records),
        "found": {str(s): _share(records, s) for s in swaps},
        "named": named,
        "specificity": round(100 - _share(records, Swap.NONE), 1),
        "not_sure_as_recorded": sum(not r.found[Swap.NONE].sure for r in records),
        "false": [[r.name, str(r.found[Swap.NONE].swap)] for r in records if _says(r.found[Swap.NONE])],
    }


def _rate(sums: "Floats") -> float:
    return float(100 * sums[0] / sums[1]) if sums[1] else float("nan")


def _entry(
    name: str,
    records: Sequence[Asked],
    swaps: Sequence[Swap],
    gate: float | None,
    goal: float | None,
    details: dict[str, object],
) -> Entry:
    right = np.array(
        [[sum(_says(r.found[s]) != (s is Swap.NONE) for s in swaps), len(swaps)] for r in records], np.float64
    )
    low, high = interval(right, _rate)
    return Entry(
        id=name, group="accuracy", value=round(_rate(right.sum(axis=0)), 2), unit="%", gate=gate, goal=goal, reference="",
        higher_is_better=True, n=len(records) * len(swaps), interval=(round(low, 1), round(high, 1)), details=details,
    )  # fmt: skip


def measure(recordings: Path) -> Sequence[Entry]:
    """Over ludb, each record by weights that never saw it; ecg12, of which nothing was ever fitted, beside it."""
    ludb = parallel.over(judge_ludb, [(recordings, name) for name in names(recordings)])
    other = parallel.over(_ecg12, [(recordings, p.stem) for p in sorted((recordings / "ecg12").glob("*.hea"))])
    sinus, rest = [r for r in ludb if r.asked], [r for r in ludb if not r.asked]
    details: dict[str, object] = {"ludb": summary(sinus), "ludb_not_asked": summary(rest) if rest else {}}
    second: dict[str, object] = {
        "ecg12": summary([r for r in other if r.asked]),
        "ecg12_af": summary([r for r in other if not r.asked]),
    }
    return [
        _entry("reversal-se", sinus, ASKED, 90, 97, details),
        _entry("reversal-sp", sinus, [Swap.NONE], 97, 99.5, second),
        _entry("reversal-ra", sinus, [Swap.RA_LA, Swap.RA_LL, *TURNS], None, None, {}),
        _entry("reversal-la-ll", sinus, [Swap.LA_LL], None, None, {}),
        _entry("reversal-legs", sinus, LEGS, None, None, {}),
    ]


FIGURES = (
    Figure(
        "reversal",
        "accuracy",
        measure,
        ("ludb", "ecg12"),
        yields=("reversal-se", "reversal-sp", "reversal-ra", "reversal-la-ll", "reversal-legs"),
    ),
)
