"""How long the hub has had what is in a segment, by a clock that nobody sets: the time that this spool was open, counted on over restarts.

The day that acknowledged data are kept is for a hub that is put back to an older state. A wall clock that steps, or that the gateway learns
late, says nothing of it. While the gateway is off nothing ages: it keeps longer then, never shorter.
"""

from collections.abc import Callable, Mapping

TOTAL = (0, 0)  # no segment: how long the spool was open altogether


class Ages:
    """From the thread that keeps house. Segments are (log, number)."""

    def __init__(self, kept: Mapping[tuple[int, int], int], monotonic_ns: Callable[[], int]) -> None:
        """`kept`: what `rows` gave before the last end."""
        self._monotonic_ns = monotonic_ns
        self._since = dict(kept)
        self._begun_ns = self._since.pop(TOTAL, 0) - monotonic_ns()

    @property
    def now_ns(self) -> int:
        """How long the spool was open until now."""
        return self._monotonic_ns() + self._begun_ns

    def since_ns(self, segment: tuple[int, int]) -> int:
        """When the hub was first seen to have all of a segment; now, when it was not."""
        return self._since.get(segment, self.now_ns)

    def look(self, segment: tuple[int, int], *, acknowledged: bool) -> int:
        """For how long the hub has had all of a segment; it may also have less again."""
        if not acknowledged:
            self._since.pop(segment, None)
            return 0
        return self.now_ns - self._since.setdefault(segment, self.now_ns)

    def rows(self, there: "set[tuple[int, int]]") -> dict[tuple[int, int], int]:
        """What has to be kept over an end, of the segments that are there."""
        self._since = {segment: since for segment, since in self._since.items() if segment in there}
        return {TOTAL: self.now_ns, **self._since}
