"""The time of a source's samples: counted by its crystal, set right by the earliest arrivals, and never running backwards.

A crystal is steady but not exact; arrivals are exact but late by a jitter that is never negative. `envelope` says where the samples
were measured; the line that is given out leans towards that, by a hundredth at most, so that two groups never overlap and no interval is
bent by more.
"""

from dataclasses import dataclass, replace

from models.screening import envelope
from models.screening.envelope import Envelope
from protocols.record import NS_PER_S

STEP_NS = NS_PER_S // 2
LATE_NS = (
    10 * NS_PER_S
)  # without one timely arrival: lateness is a step of the clock, twice that long, and no stall of the link
LATE_WINDOWS = 2
LOOK_NS = 2 * NS_PER_S  # how often the line is laid anew
CLOSE_NS = 2 * NS_PER_S  # in which it comes to where the samples were measured
MOST_BENT = 0.01
LEAST_UNCERTAINTY_NS = 2_000_000
FIRST_UNCERTAINTY_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """Time of a source's samples: `base_ns` at `base_sample`, from there on `1 + drift` nominal periods a sample.

    `origin_ns`, `origin`: arrival and number of the first sample of the segment, from which `earliest` counts.
    """

    segment: int
    fs_hz: float
    origin: int
    origin_ns: int
    base_sample: int
    base_ns: float
    earliest: Envelope
    drift: float = 0.0
    uncertainty_ns: float = FIRST_UNCERTAINTY_NS
    next_look_ns: float = 0.0
    window_end_ns: float = 0.0
    least_ns: float = float("inf")
    late_windows: int = 0

    def at(self, sample: int) -> float:
        """Time of a sample, nanoseconds."""
        return self.base_ns + (sample - self.base_sample) / self.fs_hz * (1 + self.drift) * NS_PER_S

    def continues(self, fs_hz: float, sample: int) -> bool:
        """Whether samples count on along this line."""
        return self.fs_hz == fs_hz and sample >= self.base_sample

    def stepped(self, by_ns: int, segment: int) -> "Line":
        """Seen from a gateway whose clock was set forward by `by_ns`."""
        return replace(
            self,
            segment=segment,
            origin_ns=self.origin_ns + by_ns,
            base_ns=self.base_ns + by_ns,
            next_look_ns=self.next_look_ns + by_ns,
            window_end_ns=self.window_end_ns + by_ns,
        )


def begin(segment: int, fs_hz: float, sample: int, arrival_ns: int, drift: float = 0.0) -> Line:
    """Lay a new line through the arrival of a sample."""
    return Line(
        segment,
        fs_hz,
        sample,
        arrival_ns,
        sample,
        float(arrival_ns),
        envelope.begin(0.0, 0.0, drift),
        drift,
        next_look_ns=arrival_ns + LOOK_NS,
        window_end_ns=arrival_ns + LATE_NS,
    )


def follow(line: Line | None, fs_hz: float, sample: int, arrival_ns: int, next_segment: int) -> Line:
    """The line for a group whose first sample came at `arrival_ns`; one with `next_segment` when it does not fit the old one."""
    if line is None or not line.continues(fs_hz, sample):
        return begin(next_segment, fs_hz, sample, arrival_ns)
    error = arrival_ns - line.at(sample)
    if error < -STEP_NS:
        return begin(next_segment, fs_hz, sample, arrival_ns, line.earliest.fit.drift)
    counted = (sample - line.origin) / fs_hz * NS_PER_S
    least, late, window_end_ns = min(line.least_ns, error), line.late_windows, line.window_end_ns
    if arrival_ns >= window_end_ns:
        late = late + 1 if least > STEP_NS else 0
        if late >= LATE_WINDOWS:
            return begin(next_segment, fs_hz, sample, arrival_ns, line.earliest.fit.drift)
        least, window_end_ns = float("inf"), arrival_ns + LATE_NS
    earliest = line.earliest
    if error <= STEP_NS:  # what a stall of the link keeps back tells nothing of the clock
        earliest = envelope.add(earliest, max(counted, earliest.open.at), arrival_ns - line.origin_ns - counted)
    if arrival_ns < line.next_look_ns:
        return Line(
            line.segment, line.fs_hz, line.origin, line.origin_ns, line.base_sample, line.base_ns, earliest, line.drift,
            line.uncertainty_ns, line.next_look_ns, window_end_ns, least, late,
        )  # fmt: skip
    here = line.at(sample)
    fit = earliest.fit
    off = line.origin_ns + counted + fit.at_time(counted) - here
    drift = fit.drift + min(MOST_BENT, max(-MOST_BENT, off / CLOSE_NS))
    uncertainty_ns = max(LEAST_UNCERTAINTY_NS, abs(off) + fit.uncertainty(counted) + LEAST_UNCERTAINTY_NS)
    return replace(
        line,
        base_sample=sample,
        base_ns=here,
        earliest=earliest,
        drift=drift,
        uncertainty_ns=uncertainty_ns,
        next_look_ns=arrival_ns + LOOK_NS,
        window_end_ns=window_end_ns,
        least_ns=least,
        late_windows=late,
    )
