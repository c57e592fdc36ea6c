"""The newest durable batches, in memory as they are: the uplink sends them next, without the disk."""

from edge.spool.frame import Frame

MOST_BYTES = 1 << 20


class Recent:
    """Up to `MOST_BYTES` of payloads, the oldest leave first. The caller sees to it that one thread is here at a time."""

    def __init__(self) -> None:
        """Empty."""
        self._payloads: dict[tuple[int, int], bytes] = {}
        self._bytes = 0

    def get(self, lane: int, n: int) -> bytes | None:
        """The payload of a batch, None when it is not here."""
        return self._payloads.get((lane, n))

    def add(self, frame: Frame) -> None:
        """Take a batch that has become durable."""
        self._remove((frame.lane, frame.n))
        self._payloads[frame.lane, frame.n] = frame.payload
        self._bytes += len(frame.payload)
        while self._bytes > MOST_BYTES:
            self._remove(next(iter(self._payloads)))

    def forget(self, lane: int, first: int, last: int) -> None:
        """These have gone."""
        for key in [k for k in self._payloads if k[0] == lane and first <= k[1] <= last]:
            self._remove(key)

    def _remove(self, key: tuple[int, int]) -> None:
        self._bytes -= len(self._payloads.pop(key, b""))
