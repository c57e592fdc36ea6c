"""Offset and drift between two clocks from stamps of which one is late: the line below all points, and how well it is known.

A delay is never negative, so the earliest arrivals tell the clocks and the later ones only the way. The line is the edge of the
lower convex hull that passes under the middle of the points, which has the least sum of delays above it (Moon, Skelly, Towsley,
"Estimation and removal of clock skew from network delay measurements", INFOCOM 1999). Points are thinned to the earliest of
stretches of time, which double until SPAN_NS is covered: bounded memory, constant work a point.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from protocols.record import NS_PER_S

BUCKETS = 16
FIRST_BUCKET_NS = 2 * NS_PER_S
LAST_BUCKET_NS = (
    64 * NS_PER_S
)  # 16 of them: 17 minutes, in which the temperature of a ward turns no crystal by a part per million
MAX_DRIFT = 200e-6  # twice that of a poor crystal
CRYSTAL = 50e-6  # what crystals are commonly off by
WANDER = 1e-6  # by which a crystal's drift changes from one stretch to the next
LEAST_SHIFT_NS = 20_000_000  # a way that has become so much longer is learned anew
SHIFTED_BUCKETS = 3
LATE_POINTS, LATE_NS, LATE_JITTERS = (
    4,
    8 * NS_PER_S,
    6,
)  # so many in a row, over so long, so far from the line: no delay is as steady
FEW = 8  # points of which the least may lie as high above the line as they differ


@dataclass(frozen=True, slots=True)
class Stretch:
    """The earliest point of a stretch of time, how many it had, and the sum of what they were late by; nanoseconds."""

    at: float
    late: float
    n: int
    total: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Lateness of a point without delay: `late` at `at`, `drift` a nanosecond. `jitter`: mean delay; `noise`: of the earliest."""

    at: float
    late: float
    drift: float
    first: float
    jitter: float
    noise: float
    recent: float  # by how much the newest stretch is late at least: the way has changed, or a clock
    n: int

    def at_time(self, at: float) -> float:
        """Lateness of a point without delay at a time."""
        return self.late + self.drift * (at - self.at)

    def uncertainty(self, at: float) -> float:
        """What a time that is derived at `at` may be off by, beside the least delay of the way, which nothing tells; nanoseconds."""
        span = self.at - self.first
        beyond = max(0.0, at - self.at, self.first - at)
        drift = WANDER + min(2 * CRYSTAL, (self.noise + self.jitter / FEW) / max(span, 1.0))
        few = self.jitter * FEW / self.n
        return 3 * self.noise + self.jitter / 2 + few + drift * beyond + self.recent


@dataclass(frozen=True, slots=True)
class Run:
    """Points in a row that were all far too late: the first, the earliest of them against the line, and how many."""

    since: float
    at: float
    late: float
    above: float
    n: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """The points so far. `restarts` counts how often what was known did not fit any more; `shift`: by how much, the last time."""

    bucket_ns: float
    closed: tuple[Stretch, ...]
    open: Stretch
    fit: Fit
    prior: float = 0.0  # the drift that was known before the first point
    restarts: int = 0
    shift: float = 0.0
    run: Run | None = None


def begin(at: float, late: float, prior: float = 0.0) -> Envelope:
    """Take the first point: `late` is arrival less told time, from any base. `prior`: the drift, where it is known."""
    point = Stretch(at, late, 1, late)
    return Envelope(FIRST_BUCKET_NS, (), point, fitted((point,), prior), prior)


def add(envelope: Envelope, at: float, late: float) -> Envelope:
    """Take a point that came at `at`, not before the one before."""
    kept, above = envelope.open, late - envelope.fit.at_time(at)
    far = max(LEAST_SHIFT_NS, 2 * envelope.fit.uncertainty(at))
    if above < -far:  # nothing is early: a clock was set
        return _anew(envelope, at, late, above)
    run = None
    if above > max(far, LATE_JITTERS * envelope.fit.jitter):
        run = _longer(envelope.run, at, late, above)
        if run.n >= LATE_POINTS and at - run.since >= LATE_NS:
            return _anew(envelope, run.at, run.late, run.above)
    if at >= kept.at + envelope.bucket_ns:
        return _closed(replace(envelope, closed=(*envelope.closed, kept), open=Stretch(at, late, 1, late), run=run))
    fit = envelope.fit
    if late < kept.late:
        opened, fit = Stretch(at, late, kept.n + 1, kept.total + late), _lowered(fit, at, late)
    else:
        opened = Stretch(kept.at, kept.late, kept.n + 1, kept.total + late)
    # not by `replace`: this is done for every record, and that takes five times as long
    return Envelope(
        envelope.bucket_ns, envelope.closed, opened, fit, envelope.prior, envelope.restarts, envelope.shift, run
    )


def _anew(envelope: Envelope, at: float, late: float, shift: float) -> Envelope:
    return replace(begin(at, late, envelope.fit.drift), restarts=envelope.restarts + 1, shift=shift)


def _longer(run: Run | None, at: float, late: float, above: float) -> Run:
    if run is None:
        return Run(at, at, late, above, 1)
    if above < run.above:
        return Run(run.since, at, late, above, run.n + 1)
    return Run(run.since, run.at, run.late, run.above, run.n + 1)


def _lowered(fit: Fit, at: float, late: float) -> Fit:
    """Move the line down onto a point that came earlier than it says; the drift waits for the end of the stretch."""
    below = fit.at_time(at) - late
    return fit if below <= 0 else replace(fit, late=fit.late - below, noise=fit.noise + below / BUCKETS)


def _closed(envelope: Envelope) -> Envelope:
    last = envelope.closed[-SHIFTED_BUCKETS:]
    before = envelope.closed[:-SHIFTED_BUCKETS]
    if before:
        fit = fitted(before, envelope.prior)
        above = min(s.late - fit.at_time(s.at) for s in last)
        if above > max(LEAST_SHIFT_NS, 3 * fit.jitter, 2 * fit.uncertainty(last[0].at)):
            anew = fitted((*last, envelope.open), fit.drift)
            return Envelope(FIRST_BUCKET_NS, last, envelope.open, anew, fit.drift, envelope.restarts + 1, above)
    closed, bucket_ns = envelope.closed, envelope.bucket_ns
    if len(closed) > BUCKETS and bucket_ns < LAST_BUCKET_NS:
        closed, bucket_ns = _halved(closed), 2 * bucket_ns
    closed = closed[-BUCKETS:]
    return replace(envelope, bucket_ns=bucket_ns, closed=closed, fit=fitted((*closed, envelope.open), envelope.prior))


def _halved(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    out: list[Stretch] = []
    for i in range(0, len(stretches), 2):
        pair = stretches[i : i + 2]
        low = min(pair, key=lambda s: s.late)
        out.append(Stretch(low.at, low.late, sum(s.n for s in pair), sum(s.total for s in pair)))
    return tuple(out)


def fitted(stretches: tuple[Stretch, ...], prior: float = 0.0) -> Fit:
    """Fit the line to the earliest points of stretches, in the order of time.

    The drift leaves `prior` in the measure in which the points tell it better than CRYSTAL does.
    """
    seen = _line(stretches, _slope(stretches, prior))
    span = max(seen.at - seen.first, 1.0)
    doubt = (seen.noise + seen.jitter / FEW) / span
    drift = prior + (seen.drift - prior) * CRYSTAL**2 / (CRYSTAL**2 + doubt**2)
    return _line(stretches, min(MAX_DRIFT, max(-MAX_DRIFT, drift)))


def _line(stretches: tuple[Stretch, ...], drift: float) -> Fit:
    first, last = stretches[0].at, stretches[-1].at
    late = min(s.late - drift * (s.at - last) for s in stretches)
    heights = [s.late - late - drift * (s.at - last) for s in stretches]
    n = sum(s.n for s in stretches)
    jitter = sum(s.total for s in stretches) / n - (late + drift * (sum(s.at * s.n for s in stretches) / n - last))
    recent = min(heights[-SHIFTED_BUCKETS:]) if len(stretches) > SHIFTED_BUCKETS else 0.0
    return Fit(last, late, drift, first, max(0.0, jitter), sum(heights) / len(heights), recent, n)


def _slope(stretches: tuple[Stretch, ...], prior: float) -> float:
    """Of the edge of the lower hull under the middle of the points; `prior` for a single one."""
    hull: list[Stretch] = []
    for point in stretches:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = sum(s.at for s in stretches) / len(stretches)
    for a, b in pairwise(hull):
        if b.at >= middle and b.at > a.at:
            return (b.late - a.late) / (b.at - a.at)
    return prior


def _turns_down(a: Stretch, b: Stretch, c: Stretch) -> bool:
    return (b.late - a.late) * (c.at - a.at) >= (c.late - a.late) * (b.at - a.at)
