"""How much may be on its way at once on one connection: half a second of the rate that acknowledgements show (rule 7).

Bytes in flight divided by the time their acknowledgement takes is the rate; so the window grows while that time is below half a
second and shrinks while it is above, which keeps live data at most that far behind a backlog. On a way that is itself longer than that, as
by satellite, it is what fills the way, or the rate could never show. It begins small: a slow link is not filled for half a minute
before its rate is known, and a fast one shows itself within a few acknowledgements.
"""

from dataclasses import dataclass

from protocols.link.lane import Lane

MAX_BYTES = 256 * 1024
MIN_BYTES = 16 * 1024  # a full batch; and less would not do for a hub that takes long to commit
START_BYTES = 32 * 1024
MAX_BATCHES = 256
# The part of the window that a backlog may fill: the rest is free for live data at any moment.
BACKLOG_SHARE = 0.75
_TARGET_S = 0.5
_WAYS = 2.0  # of an empty way there and back: a backlog's share of it more than fills it, so that a higher rate shows
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Sent:
    size: int
    sent_ns: int
    delivered: int  # bytes acknowledged in all when it was sent


class Window:
    """What is in flight on one connection, and what more may be."""

    def __init__(self) -> None:
        self.limit = START_BYTES
        self.way_s = 0.0  # there and back with nothing else on the way
        self.bytes_in_flight = 0
        self._delivered = 0
        self._in_flight: dict[tuple[Lane, int, int], _Sent] = {}  # (lane, first, last), in order of sending

    def has_room(self, *, for_backlog: bool = False) -> bool:
        """Whether one more batch may go; it may reach beyond the limit with a part of itself."""
        limit = self.limit * BACKLOG_SHARE if for_backlog else self.limit
        return self.bytes_in_flight < limit and len(self._in_flight) < MAX_BATCHES

    def sent(self, lane: Lane, first: int, last: int, size: int, now_ns: int) -> None:
        """A batch (or a Lost) went out with `size` bytes."""
        self._in_flight[lane, first, last] = _Sent(size, now_ns, self._delivered)
        self.bytes_in_flight += size

    def items(self) -> list[tuple[Lane, int, int]]:
        """What is in flight, the oldest first."""
        return list(self._in_flight)

    def oldest_ns(self) -> int | None:
        """When the oldest of it was sent."""
        return next(iter(self._in_flight.values())).sent_ns if self._in_flight else None

    def acknowledged(self, items: list[tuple[Lane, int, int]], now_ns: int) -> None:
        """These have arrived: they leave the window, and the oldest of them measures the rate."""
        sent = [self._in_flight.pop(item) for item in items]
        if not sent:
            return
        size = sum(one.size for one in sent)
        self.bytes_in_flight -= size
        self._delivered += size
        oldest = sent[0]
        took_ns = max(1, now_ns - oldest.sent_ns)
        rate = (self._delivered - oldest.delivered) * _NS_PER_S / took_ns  # bytes a second
        self.limit = min(MAX_BYTES, max(MIN_BYTES, round(rate * max(_TARGET_S, _WAYS * self.way_s))))
