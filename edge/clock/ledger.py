"""What the gateway remembers of the time over a restart: the last time that it knew, and which batches were made without one.

A batch that was made while the time was not known holds times that run on from the last known one. It stays on the disk as it is, and is
put right when it is sent: by what was learned since, or, of a run that ended before, by what is certain (decision 0136).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock

import structlog
from pydantic import TypeAdapter

from edge.clock.clock import EARLIEST_NS, LATEST_NS
from edge.durable import read_or_set_aside, replace_file
from protocols.errors import DecodeError
from protocols.link import Lane
from protocols.wire import decode_batch
from protocols.wire.moved import moved_batch

KEEP_EVERY_S = 60.0
RUNS_KEPT = 1024  # of those whose batches may still be sent

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Run:
    """Batches that were made without a known time: of each lane the numbers from `first`, up to `last` when that is over.

    `began_ns`: what the clock showed at their begin. `shift_ns`: what their times are behind; None while nobody knows.
    `doubted`: until then the time was known, and the clock has run on from it.
    """

    epoch: str
    began_ns: int
    first: Mapping[str, int]
    last: Mapping[str, int] | None = None
    shift_ns: int | None = None
    uncertainty_ns: int = 0
    doubted: bool = False

    def holds(self, epoch: str, lane: Lane, n: int) -> bool:
        """Whether a batch is one of them."""
        name = lane.name.lower()
        return (
            epoch == self.epoch and n >= self.first.get(name, 1) and (self.last is None or n <= self.last.get(name, 0))
        )

    def is_needed(self, epoch: str, held: Callable[[Lane], Sequence[tuple[int, int]]]) -> bool:
        """Whether a spool has one of them still, so that it may be sent, or sent again."""
        return epoch == self.epoch and any(
            b >= self.first.get(lane.name.lower(), 1)
            and (self.last is None or a <= self.last.get(lane.name.lower(), 0))
            for lane in Lane
            for a, b in held(lane)
            if self.last is None or self.last.get(lane.name.lower(), 0) >= self.first.get(lane.name.lower(), 1)
        )


@dataclass(slots=True)
class _Kept:
    last_known_ns: int = 0
    runs: list[Run] = field(default_factory=list[Run])


_KEPT = TypeAdapter(_Kept)


class TimeLedger:
    """Read once at start. A change holds at once; `save` brings it to the disk, and is for a thread: a disk may hang."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._changes, self._saved = 0, 0
        self._is_refused = False
        self._kept = _read(path)

    @property
    def last_known_ns(self) -> int:
        """The last time that was known and kept, no earlier than any agent can have run."""
        return max(EARLIEST_NS, self._kept.last_known_ns)

    @property
    def is_unsaved(self) -> bool:
        """Whether the disk has not taken all of it yet."""
        return self._changes != self._saved

    def keep(self, now_ns: int) -> None:
        """The time is known, and it is this."""
        self._kept.last_known_ns = now_ns
        self._changes += 1

    def save(self) -> None:
        """Write what has changed. What the disk refuses is told once, and stays unsaved: a full disk keeps nobody from learning the time."""
        with self._lock:
            changes = self._changes
            if changes == self._saved:
                return
            kept = _Kept(self._kept.last_known_ns, list(self._kept.runs))  # which changes meanwhile
            try:
                replace_file(self._path, json.dumps(asdict(kept)).encode())
            except OSError as error:
                if not self._is_refused:
                    _log.error(
                        "time-not-kept", error=str(error), what_to_do="look at the disk; it is tried again every second"
                    )
                self._is_refused = True
            else:
                self._saved, self._is_refused = changes, False

    def begin(
        self,
        epoch: bytes,
        newest: Callable[[Lane], int],
        now_ns: int,
        *,
        known: bool,
        held: Callable[[Lane], Sequence[tuple[int, int]]] | None = None,
    ) -> None:
        """A run of the agent begins. What an earlier one left unknown can only be placed between the last known time and now.

        `held`: the batches that the spool has; runs without any are forgotten.
        """
        self._kept.runs = [
            run if run.last is not None else replace(run, last=_numbers(newest, 0)) for run in self._kept.runs
        ]
        if held is not None:
            self._kept.runs = [run for run in self._kept.runs if run.is_needed(epoch.hex(), held)]
        if known:
            self._settle_earlier(now_ns)
        else:
            self._kept.runs.append(Run(epoch.hex(), now_ns, _numbers(newest, 1)))
        if self._kept.runs:
            self._shorten()
            self._changes += 1

    def doubt(self, epoch: bytes, newest: Callable[[Lane], int], now_ns: int) -> None:
        """From here on the time is not known any more; the clock runs on from what it was."""
        self._kept.runs.append(Run(epoch.hex(), now_ns, _numbers(newest, 1), doubted=True))
        self._shorten()
        self._changes += 1

    def learned(self, shift_ns: int, uncertainty_ns: int, newest: Callable[[Lane], int], now_ns: int) -> None:
        """The time is known: this run's batches are behind it by so much."""
        if self._kept.runs and self._kept.runs[-1].last is None:
            run = self._kept.runs[-1]
            self._settle_earlier(run.began_ns + shift_ns, before=len(self._kept.runs) - 1)
            done = replace(run, last=_numbers(newest, 0), shift_ns=shift_ns, uncertainty_ns=uncertainty_ns)
            self._kept.runs[-1] = done
        self.keep(now_ns)

    def _settle_earlier(self, until_ns: int, before: int | None = None) -> None:
        """Runs that ended without knowing, from their start, lie between their begin and `until_ns`: in the middle, with half of that as the doubt."""
        for i, run in enumerate(self._kept.runs[:before]):
            if run.shift_ns is None:
                # A clock that was right when it was doubted has run on: nobody ever confirmed that it was to be another.
                half_ns = 0 if run.doubted else max(0, until_ns - run.began_ns) // 2
                self._kept.runs[i] = replace(run, shift_ns=half_ns, uncertainty_ns=half_ns)

    def right(self, epoch: bytes, lane: Lane, n: int, batch: bytes) -> bytes:
        """The batch with its times put right, if it was made without a known time and that is known now."""
        name = epoch.hex()
        for run in self._kept.runs:
            if run.shift_ns is not None and run.holds(name, lane, n):
                try:
                    return moved_batch(decode_batch(batch), run.shift_ns, run.uncertainty_ns)
                except DecodeError as error:
                    _log.error("batch-not-put-right", lane=lane.name.lower(), n=n, error=str(error))
                    return batch
        return batch

    def _shorten(self) -> None:
        if len(self._kept.runs) > RUNS_KEPT:
            _log.error(
                "clock-runs-forgotten",
                runs=len(self._kept.runs) - RUNS_KEPT,
                what_to_do="their batches keep the times that the clock showed",
            )
            self._kept.runs = self._kept.runs[-RUNS_KEPT:]


def _numbers(newest: Callable[[Lane], int], more: int) -> dict[str, int]:
    return {lane.name.lower(): newest(lane) + more for lane in Lane}


def _read(path: Path) -> _Kept:
    said = "nothing: the next known time is kept anew"
    found = read_or_set_aside(path, _KEPT.validate_json, "time-ledger-damaged", said) or _Kept()
    if found.last_known_ns >= LATEST_NS:
        found.last_known_ns = 0
    return found
