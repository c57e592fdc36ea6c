"""A thread that makes groups of items durable: whatever waits while one group is written becomes the next group.

Alarms and the other lanes each have one, so that an alarm's fdatasync waits for no waveform's.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

IDLE_S = 1.0


class GroupWriter(Generic[T]):
    """Calls `commit(items)` in its thread for all that was put since the last call, and `idle()` about once a second."""

    def __init__(self, name: str, commit: Callable[[Sequence[T]], None], idle: Callable[[], None]) -> None:
        """Starts with `start`."""
        self._commit, self._idle = commit, idle
        self._items: list[T] = []
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._beat_s = time.monotonic()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; its order is kept."""
        with self._condition:
            self._items.append(item)
            self._condition.notify()

    def take(self, wanted: Callable[[T], bool]) -> list[T]:
        """Those of the items that wait that need not wait for what is being committed, in their order; for `commit` itself."""
        with self._condition:
            taken = [item for item in self._items if wanted(item)]
            self._items = [item for item in self._items if not wanted(item)]
        return taken

    def waiting(self) -> int:
        """Items that no group has taken yet."""
        return len(self._items)

    @property
    def name(self) -> str:
        """Of its thread."""
        return self._thread.name

    def beat(self) -> None:
        """The thread goes on, though a commit takes long: it tries again what the disk refused."""
        self._beat_s = time.monotonic()

    def is_alive(self, within_s: float) -> bool:
        """Whether the thread is there and has gone on within so long."""
        return self._thread.is_alive() and time.monotonic() - self._beat_s < within_s

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: retries should end."""
        return self._stopping

    def stop(self) -> None:
        """Write what waits, then end. Blocks."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self.beat()
            with self._condition:
                if not self._items and not self._stopping:
                    self._condition.wait(IDLE_S)
                items, self._items = self._items, []
                stopping = self._stopping
            if items:
                self._commit(items)
            self._idle()
            if stopping and not items:
                return
