"""Episodes against episodes, as ANSI/AAMI EC57:2012 compares them (4.5): how many were met, and for how long.

Written from the standard's rules, not from a program; the public reference program of these rules is `epicmp`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.evaluation.beats import Interval, percent


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted intervals without overlap."""
    out: list[Interval] = []
    for a, b in sorted(i for i in intervals if i[1] > i[0]):
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return out


def overlap_s(one: Iterable[Interval], other: Iterable[Interval]) -> float:
    """Seconds that both cover."""
    return sum(max(0.0, min(b, d) - max(a, c)) for a, b in union(one) for c, d in union(other))


def behind(intervals: Iterable[Interval], from_s: float) -> list[Interval]:
    """What of the intervals lies behind a moment."""
    return [(max(a, from_s), b) for a, b in intervals if b > from_s]


@dataclass(frozen=True)
class DurationScore:
    """Seconds of truly positive and negative signal, and how much of each was claimed."""

    positive_s: float = 0.0
    claimed_positive_s: float = 0.0
    negative_s: float = 0.0
    claimed_negative_s: float = 0.0

    def __add__(self, other: "DurationScore") -> "DurationScore":
        return DurationScore(
            self.positive_s + other.positive_s,
            self.claimed_positive_s + other.claimed_positive_s,
            self.negative_s + other.negative_s,
            self.claimed_negative_s + other.claimed_negative_s,
        )

    @property
    def sensitivity(self) -> float:
        """Per cent; NaN when there is nothing to find."""
        return percent(self.claimed_positive_s, self.positive_s)

    @property
    def specificity(self) -> float:
        """Per cent; NaN when there is nothing to refuse."""
        return percent(self.negative_s - self.claimed_negative_s, self.negative_s)

    @property
    def positive_predictivity(self) -> float:
        """Per cent of what was claimed; NaN when nothing was."""
        return percent(self.claimed_positive_s, self.claimed_positive_s + self.claimed_negative_s)


def score_duration(
    positive: Iterable[Interval], negative: Iterable[Interval], claimed: Iterable[Interval]
) -> DurationScore:
    """What is in neither is not counted (noise)."""
    positive, negative, claimed = union(positive), union(negative), union(claimed)
    return DurationScore(
        sum(b - a for a, b in positive),
        overlap_s(positive, claimed),
        sum(b - a for a, b in negative),
        overlap_s(negative, claimed),
    )


@dataclass(frozen=True)
class EpisodeScore:
    """How many episodes of the reference were met by a claim, and how many claims met one of them."""

    reference: int = 0
    met: int = 0
    claimed: int = 0
    true: int = 0

    def __add__(self, other: "EpisodeScore") -> "EpisodeScore":
        return EpisodeScore(
            self.reference + other.reference,
            self.met + other.met,
            self.claimed + other.claimed,
            self.true + other.true,
        )

    @property
    def sensitivity(self) -> float:
        """Per cent; NaN when there is nothing to find."""
        return percent(self.met, self.reference)

    @property
    def positive_predictivity(self) -> float:
        """Per cent; NaN when nothing was claimed."""
        return percent(self.true, self.claimed)


def score_episodes(reference: Sequence[Interval], claimed: Sequence[Interval]) -> EpisodeScore:
    """Any overlap is a meeting, however short; intervals that touch are one episode."""
    reference, claimed = union(reference), union(claimed)
    return EpisodeScore(
        len(reference),
        sum(any(_meet(one, other) for other in claimed) for one in reference),
        len(claimed),
        sum(any(_meet(one, other) for other in reference) for one in claimed),
    )


def _meet(one: Interval, other: Interval) -> bool:
    return one[0] < other[1] and other[0] < one[1]
