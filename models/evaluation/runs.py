"""Runs of ventricular beats against runs, as ANSI/AAMI EC57:2012 compares them: couplets, short runs (3 to 5), long ones (6 and more).

A run is met when the other side has, within it and 150 ms about it, a run of its own that is of the same sort or a longer one. Sensitivity
asks so of the reference's runs, positive predictivity of those that were found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from models.evaluation.beats import LEARNING_S, MATCH_S, Interval, percent

COUPLET, SHORT, LONG = "couplets", "short runs", "long runs"
FROM_BEATS: Mapping[str, int] = MappingProxyType({LONG: 6, SHORT: 3, COUPLET: 2})


@dataclass(frozen=True, slots=True)
class Met:
    """Of the reference's runs how many there are and were found; of those that were found how many there are and are true."""

    reference: int = 0
    found: int = 0
    claimed: int = 0
    true: int = 0

    def __add__(self, other: "Met") -> "Met":
        return Met(
            self.reference + other.reference,
            self.found + other.found,
            self.claimed + other.claimed,
            self.true + other.true,
        )

    @property
    def sensitivity(self) -> float:
        """Per cent; NaN when there is nothing to find."""
        return percent(self.found, self.reference)

    @property
    def positive_predictivity(self) -> float:
        """Per cent; NaN when nothing was found."""
        return percent(self.true, self.claimed)


def _nothing() -> Mapping[str, Met]:
    return {sort: Met() for sort in FROM_BEATS}


@dataclass(frozen=True, slots=True)
class RunScore:
    """By sort of run: `COUPLET`, `SHORT`, `LONG`; a plain mapping, as it goes from process to process."""

    sorts: Mapping[str, Met] = field(default_factory=_nothing)

    def __add__(self, other: "RunScore") -> "RunScore":
        return RunScore({sort: met + other.sorts[sort] for sort, met in self.sorts.items()})


Beats = Sequence[tuple[float, bool]]  # time in seconds, ascending, and whether it is ventricular
Run = tuple[float, float, int]  # first and last beat, how many


def compare_runs(
    reference: Beats, found: Beats, *, from_s: float = LEARNING_S, excluded: Sequence[Interval] = ()
) -> RunScore:
    """Compare beats of any class, each side's own. A run that begins before `from_s`, or touches what is excluded, is not asked for."""

    def counted(beats: Beats) -> list[Run]:
        return [
            run
            for run in _runs(beats)
            if run[0] >= from_s and not any(run[0] <= end and begin <= run[1] for begin, end in excluded)
        ]

    def met(of: list[Run], by: Beats, of_sort: Callable[[int], bool], least: int) -> tuple[int, int]:
        asked = [run for run in of if of_sort(run[2])]
        return len(asked), sum(_longest(by, run) >= least for run in asked)

    both = counted(reference), counted(found)
    sorts: dict[str, Met] = {}
    below = float("inf")
    for sort, least in FROM_BEATS.items():
        inside = _between(least, below)
        sorts[sort] = Met(*met(both[0], found, inside, least), *met(both[1], reference, inside, least))
        below = least
    return RunScore(sorts)


def _between(least: int, below: float) -> Callable[[int], bool]:
    return lambda beats: least <= beats < below


def _runs(beats: Beats) -> Iterator[Run]:
    """Two ventricular beats and more in a row."""
    row: list[float] = []
    for at_s, ventricular in (*beats, (float("inf"), False)):
        if ventricular:
            row.append(at_s)
            continue
        if len(row) > 1:
            yield row[0], row[-1], len(row)
        row = []


def _longest(beats: Beats, within: Run) -> int:
    """How many ventricular beats in a row there are at most inside a run of the other side."""
    inside = [(at_s, is_v) for at_s, is_v in beats if within[0] - MATCH_S <= at_s <= within[1] + MATCH_S]
    return max((run[2] for run in _runs(inside)), default=0)
