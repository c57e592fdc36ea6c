"""The last minute of every stream of samples, from which each screen is served at its own pace.

A screen holds a mark a stream; one that falls behind what is kept gets a gap in place of it, and costs nobody else anything.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge.health.metrics import LOCAL_MISSED
from edge.pipeline.queues import QUEUES
from protocols.live_frame import Frame, gap_frame, samples_frame
from protocols.microvolt import displayed
from protocols.record import Gap, SourcePath, WaveformGroup

KEPT_S = 90.0  # a page keeps as much
KEPT_GROUPS = QUEUES["local-strips"].bound
KEPT_BYTES = 4 * 1024 * 1024  # 12 leads of 1 kHz in 32 bits for 80 s
SLOW_SCREEN = "slow_screen"
UNKNOWN = "unknown"


@dataclass(slots=True)
class Stream:
    """The kept groups and gaps of one source, numbered as they came. `newest` is the number behind the last.

    `clock` is told with what came from number `clock_from` on: another each time that the gateway's clock was set back.
    """

    kept: deque[WaveformGroup | Gap] = field(default_factory=lambda: deque[WaveformGroup | Gap](maxlen=KEPT_GROUPS))
    newest: int = 0
    size: int = 0
    heard_ns: int = 0
    last: WaveformGroup | None = None
    clock: int = 0
    clock_from: int = 0

    @property
    def oldest(self) -> int:
        """The number of the first that is kept."""
        return self.newest - len(self.kept)

    def add(self, item: WaveformGroup | Gap) -> None:
        """Keep one; what is too old or too much goes."""
        if isinstance(item, WaveformGroup):
            before = self.last
            jumps = before is not None and item.first_sample > before.end_sample
            if before is not None and jumps and not (self.kept and isinstance(self.kept[-1], Gap)):
                end_ns, start_ns = before.time_of(before.end_sample), item.times.best_ns
                if start_ns > end_ns:
                    self._put(Gap(item.source, end_ns, start_ns, UNKNOWN, recoverable=False, times=item.times))
            self.last = item
            self.heard_ns = item.time_of(item.end_sample)
            self.size += len(item.samples)
        self._put(item)
        while self.kept and (self.size > KEPT_BYTES or self.heard_ns - _end_ns(self.kept[0]) > KEPT_S * 1e9):
            self._forget()

    def set_back(self, clock: int) -> None:
        """The gateway's clock was set back: what is kept lies ahead of what comes now."""
        self.clock, self.clock_from = clock, self.newest

    def _forget(self) -> None:
        gone = self.kept.popleft()
        self.size -= len(gone.samples) if isinstance(gone, WaveformGroup) else 0

    def _put(self, item: WaveformGroup | Gap) -> None:
        if len(self.kept) == KEPT_GROUPS:
            self._forget()
        self.kept.append(item)
        self.newest += 1

    def behind(self, mark: int) -> Iterator[tuple[WaveformGroup | Gap, int]]:
        """What came after a mark, as far as it is kept; each with the clock that is told with it."""
        for number in range(max(0, mark - self.oldest), len(self.kept)):
            yield self.kept[number], self.clock if self.oldest + number >= self.clock_from else 0


@dataclass(slots=True)
class Screen:
    """How far one screen has been served. `since_ms`: it has everything before that already."""

    since_ms: float
    marks: dict[SourcePath, int] = field(default_factory=dict[SourcePath, int])
    ends_ms: dict[SourcePath, float] = field(default_factory=dict[SourcePath, float])

    def take(self, bed: int, indexes: dict[str, int], source: SourcePath, stream: Stream) -> list[Frame]:
        """The frames of a stream that this screen has not had. `indexes`: lead code -> index of the bed's leads."""
        mark = self.marks.get(source)
        frames: list[Frame] = []
        if mark is not None and mark < stream.oldest and stream.kept:
            LOCAL_MISSED.inc()
            start_ms, end_ms = self.ends_ms.get(source, 0.0), _start_ns(stream.kept[0]) / 1e6
            frames += [gap_frame(bed, index, start_ms, end_ms, SLOW_SCREEN) for index in indexes.values()]
        for item, clock in stream.behind(mark or 0):
            end_ms = _end_ns(item) / 1e6
            if mark is None and end_ms <= self.since_ms:
                continue
            self.ends_ms[source] = end_ms
            frames += frames_of(bed, indexes, item, clock)
        self.marks[source] = stream.newest
        return frames


def frames_of(bed: int, indexes: dict[str, int], item: WaveformGroup | Gap, clock: int) -> list[Frame]:
    """The frames of a group, one a lead that the bed knows; of a gap, one for each of its leads."""
    if isinstance(item, Gap):
        return [gap_frame(bed, i, item.from_ns / 1e6, item.to_ns / 1e6, item.reason) for i in indexes.values()]
    samples, steps = displayed(item)
    t0_ms = item.times.best_ns // 1000 / 1000
    return [
        samples_frame(bed, indexes[code], item.fs_hz, step, t0_ms, item.first_sample, line.tobytes(), clock)
        for code, step, line in zip(item.leads, steps, samples, strict=True)
        if code in indexes
    ]


def _start_ns(item: WaveformGroup | Gap) -> int:
    return item.from_ns if isinstance(item, Gap) else item.times.best_ns


def _end_ns(item: WaveformGroup | Gap) -> int:
    return item.to_ns if isinstance(item, Gap) else item.time_of(item.end_sample)
