"""Scores of beats and episodes as ANSI/AAMI EC57 defines them: beat by beat (4.3), by duration (4.5).

Written from the standard's rules, not from a program: a detection matches one reference beat within 150 ms, one to one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MATCH_S = 0.150
LEARNING_S = 300.0  # EC57 3.3: the first five minutes are for learning

Interval = tuple[float, float]


@dataclass(frozen=True)
class BeatScore:
    """Counts of matched, missed and false beats; `offsets_s`: detection minus reference of the matched ones."""

    matched: int
    missed: int
    false: int
    offsets_s: tuple[float, ...] = ()


def score_beats(
    reference_s: Sequence[float],
    detected_s: Sequence[float],
    *,
    from_s: float = LEARNING_S,
    excluded: Sequence[Interval] = (),
) -> BeatScore:
    """Match two ascending lists of beat times.

    Beats of either side before `from_s` or inside an excluded interval (borders widened by the window) are not counted, but
    a beat at the border may be matched by one outside.
    """
    counted = [_counts(t, from_s, excluded) for t in reference_s]
    counted_detections = [_counts(t, from_s, excluded) for t in detected_s]
    partner = _pairs(reference_s, detected_s)
    taken = set(partner.values())
    offsets = tuple(detected_s[j] - reference_s[i] for i, j in partner.items() if counted[i])
    missed = sum(1 for i, counts in enumerate(counted) if counts and i not in partner)
    false = sum(1 for j, counts in enumerate(counted_detections) if counts and j not in taken)
    return BeatScore(len(offsets), missed, false, offsets)


def _counts(t: float, from_s: float, excluded: Sequence[Interval]) -> bool:
    return t >= from_s and not any(a - MATCH_S <= t <= b + MATCH_S for a, b in excluded)


def _pairs(reference: Sequence[float], detected: Sequence[float]) -> dict[int, int]:
    """One to one, nearest first within each cluster: reference index to detection index."""
    near: list[tuple[float, int, int]] = []
    start = 0
    for i, t in enumerate(reference):
        while start < len(detected) and detected[start] < t - MATCH_S - 1e-9:
            start += 1
        j = start
        while j < len(detected) and detected[j] <= t + MATCH_S + 1e-9:
            near.append((abs(detected[j] - t), i, j))
            j += 1
    partner: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(near):
        if i not in partner and j not in used:
            partner[i] = j
            used.add(j)
    return partner


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


@dataclass(frozen=True)
class DurationScore:
    """Seconds of truly positive and negative signal, and how much of each was claimed."""

    positive_s: float
    claimed_positive_s: float
    negative_s: float
    claimed_negative_s: float

    def __add__(self, other: "DurationScore") -> "DurationScore":
        return DurationScore(
            self.positive_s + other.positive_s,
            self.claimed_positive_s + other.claimed_positive_s,
            self.negative_s + other.negative_s,
            self.claimed_negative_s + other.claimed_negative_s,
        )

    @property
    def sensitivity(self) -> float:
        """Per cent; 100 when there is nothing to find."""
        return 100 * self.claimed_positive_s / self.positive_s if self.positive_s else 100.0

    @property
    def specificity(self) -> float:
        """Per cent; 100 when there is nothing to refuse."""
        return 100 * (1 - self.claimed_negative_s / self.negative_s) if self.negative_s else 100.0


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
