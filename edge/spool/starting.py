"""Opens the index of a spool and brings it and the segments to the same state, also when SQLite refuses.

A start that ended there would begin again and again, and no alarm would become durable. On a full disk the oldest waveforms make room, one
segment of a start, so that somebody who eats up the disk does not get all of them; with any other refusal, or when that is not enough, the
index is kept in memory for this run, read from the segments, and its file is left as it is for the next.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from edge.health.metrics import SPOOL_DISK_ERRORS
from edge.spool.frame import Found, Frame
from edge.spool.index import Index, IndexRefusedError
from edge.spool.keys import Seals
from edge.spool.log import FULL, SegmentLog
from edge.spool.recovery import Recovered, recover
from protocols.link import Lane

_TRIES, _AGAIN_S = 3, 0.5  # a card may refuse once
_NO_ROOM_BYTES = 1 << 20  # SQLite says of some files that it cannot make them, and not why

_log = structlog.get_logger()


@dataclass(slots=True)
class Started:
    """What the index says at the start. `let_go`: the batches of a segment that made room."""

    index: Index
    recovered: Recovered
    acknowledged: dict[int, list[tuple[int, int]]]
    held: dict[Lane, list[tuple[int, int]]]
    alive: dict[bytes, int]
    ages: dict[tuple[int, int], int]
    let_go: list[Frame] = field(default_factory=list[Frame])


def start(
    path: Path, seals: Seals, logs: Mapping[int, SegmentLog], makes_room: SegmentLog, monotonic_ns: Callable[[], int]
) -> Started:
    """Open the index at `path`; of `makes_room` the oldest segment goes when the disk is full."""
    let_go: list[Frame] = []
    may_let_go, tries = bool(makes_room.segments), 0
    while True:
        try:
            return _started(Index(path, seals, monotonic_ns), logs, let_go)
        except IndexRefusedError as error:
            SPOOL_DISK_ERRORS.inc()
            tries += 1
            if may_let_go and (error.errno in FULL or _is_full(path.parent)):
                may_let_go = False
                let_go = _let_go(makes_room)
                _log.error("spool-segment-let-go", batches=len(let_go), error=str(error), what_to_do="free the disk")
            elif tries < _TRIES:
                time.sleep(_AGAIN_S)
            else:
                _log.error(
                    "spool-index-refused",
                    error=str(error),
                    what_to_do="look at the disk; until the next start the index is kept in memory",
                )
                return _started(Index(None, seals), logs, let_go)


def _started(index: Index, logs: Mapping[int, SegmentLog], let_go: list[Frame]) -> Started:
    try:
        acknowledged = index.acknowledged()
        recovered = recover(index, logs, lambda lane: lane in set(Lane))
        held = {lane: index.held(lane) for lane in Lane}
        alive = {row.id: row.segment for row in index.alarms()}
        return Started(index, recovered, acknowledged, held, alive, index.ages(), let_go)
    except IndexRefusedError:
        index.close()
        raise


def _is_full(folder: Path) -> bool:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize < _NO_ROOM_BYTES


def _let_go(log: SegmentLog) -> list[Frame]:
    """The oldest segment goes; what was in it."""
    number = min(log.segments)
    try:
        frames = [item.frame for item in log.frames(number) if isinstance(item, Found) and not item.frame.is_hole]
        log.seal()
        log.delete(number)
    except OSError:
        SPOOL_DISK_ERRORS.inc()
        return []
    return frames
