"""What waits for one screen: strips, numbers, links. Bounded, so that a slow screen costs itself data and nobody else anything.

Alarms are not here: each screen reads them from the log at its own pace (`hub.alarms.follower`).
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from prometheus_client import Counter

from hub.core.queues import QUEUES
from hub.wards.domain import Link, Numeric
from protocols.live_frame import Frame, gap_frame

FRAMES_BOUND = QUEUES["screen-frames"].bound
SLOW_SCREEN = "slow_screen"  # reason of the gap that a screen sees when it is too slow

_DROPPED = Counter("hub_web_frames_dropped_total", "Frames dropped because a screen was slow")


@dataclass(slots=True, eq=False)
class WaveClient:
    """The strips of one connection."""

    ward_id: int
    bound: int = FRAMES_BOUND  # or fewer
    queue: deque[Frame] = field(default_factory=lambda: deque[Frame](maxlen=FRAMES_BOUND))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    _lost: dict[tuple[int, int], tuple[float, float]] = field(
        default_factory=dict[tuple[int, int], tuple[float, float]]
    )

    def put(self, frame: Frame) -> None:
        """Add a frame; when the queue is full the eldest goes and leaves a gap."""
        if len(self.queue) >= self.bound:
            gone = self.queue.popleft()
            _DROPPED.inc()
            start, end = self._lost.get((gone.bed, gone.lead), (gone.t0_ms, gone.end_ms))
            self._lost[gone.bed, gone.lead] = (min(start, gone.t0_ms), max(end, gone.end_ms))
        self.queue.append(frame)
        self.ready.set()

    def take(self) -> list[Frame]:
        """Everything that waits; what was dropped comes first, as gaps."""
        gaps = [gap_frame(bed, lead, start, end, SLOW_SCREEN) for (bed, lead), (start, end) in self._lost.items()]
        frames = [*gaps, *self.queue]
        self._lost.clear()
        self.queue.clear()
        self.ready.clear()
        return frames

    def close(self) -> None:
        """End the connection."""
        self.closed = True
        self.ready.set()


@dataclass(slots=True, eq=False)
class EventClient:
    """Numbers and links of one event stream: of each only the newest waits."""

    ward_id: int
    numerics: dict[tuple[int, str], Numeric] = field(default_factory=dict[tuple[int, str], Numeric])
    links: dict[int, Link] = field(default_factory=dict[int, Link])
    reset: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def numeric(self, bed: int, number: Numeric) -> None:
        """A new number."""
        self.numerics[bed, number.code] = number
        self.ready.set()

    def link(self, bed: int, link: Link) -> None:
        """A bed's link has changed."""
        self.links[bed] = link
        self.ready.set()

    def start_over(self) -> None:
        """Beds or leads have changed: the screen shall fetch the whole state."""
        self.reset = True
        self.ready.set()

    def close(self) -> None:
        """End the stream."""
        self.closed = True
        self.ready.set()
