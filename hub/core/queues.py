"""Every queue of the hub, a row each: its bound, what happens when it is full, and the metric that shows it.

Queues are made with a bound of this table and in no other way (a test reads the code), so that back-pressure is a decision that can be
read (docs/explanation/architecture.md, rule 7). Those of the gateway's agent are in edge/pipeline/queues.py.
"""

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class WhenFull(Enum):
    """What a full queue does."""

    WAIT = "the one who puts waits; the next buffer upstream fills"
    DROP = "the eldest goes; it is in the database, and whoever waits for it is told how many, or where the gap is"
    CUT_OFF = "whoever reads it is cut off, and goes on from the log when it comes again"
    FORGET = "the eldest is forgotten; whoever still needs it reads the database"


@dataclass(frozen=True, slots=True)
class Queue:
    """A row of the table."""

    name: str
    bound: int
    unit: str
    when_full: WhenFull
    metric: str
    why: str
    bound_bytes: int = 0  # 0: what is in it is small


QUEUES: "Mapping[str, Queue]" = MappingProxyType(
    {
        q.name: q
        for q in (
            Queue(
                "ingest-batches",
                512,
                "batches",
                WhenFull.WAIT,
                "hub_ingest_queue_batches",
                "streams are not read meanwhile, and the gateways' windows close; a batch may have 1 MiB, and becomes as much again in rows",
                32 * 1024 * 1024,
            ),
            Queue(
                "live-data",
                2_000,
                "messages",
                WhenFull.DROP,
                "hub_live_dropped_total",
                "about 15 s of 64 beds at two groups a second, for each process that listens",
            ),
            Queue(
                "live-alarms",
                10_000,
                "messages",
                WhenFull.CUT_OFF,
                "hub_live_cut_off_total",
                "alarms and link states are never dropped; who is so far behind reads the log",
            ),
            Queue(
                "live-copies",
                256,
                "messages",
                WhenFull.WAIT,
                "hub_live_dropped_total",
                "of all copies of ingest; what is beyond waits, bounded, in the copies themselves",
            ),
            Queue(
                "alarm-log",
                1_000,
                "events",
                WhenFull.FORGET,
                "hub_web_event_resets_total",
                "the tail of a tenant's log; a screen that is further behind reads the database, or fetches the whole state",
            ),
            Queue(
                "screen-frames",
                2_048,
                "frames",
                WhenFull.DROP,
                "hub_web_frames_dropped_total",
                "about 4 s of 64 beds with two strips in groups of 250 ms, for each screen",
            ),
            Queue(
                "frames-sent",
                4_096,
                "frames",
                WhenFull.FORGET,
                "hub_web_painted_seconds",
                "when the last frames ended, so that what a screen says of its painting can be dated",
            ),
        )
    }
)
