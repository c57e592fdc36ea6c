"""Every queue of the agent, a row each: its bound, what happens when it is full, and the metric that shows it.

Queues are made from this table alone, so that back-pressure is a decision that can be read (docs/explanation/architecture.md, rule 7).
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
    GAP = "the new item becomes the Gap of what it held"
    FORGET = "the eldest is forgotten; a screen that still needs it is shown a gap, or fetches the whole state"
    REFUSE = "the sender is told to come again; what it has not got rid of it keeps"
    BREAK = "the link is given up and opened anew; what did not come is a Gap"
    READ = "what waits is forgotten, and read again from the disk when it can be taken"
    NEVER = "it is bounded by what puts into it"


@dataclass(frozen=True, slots=True)
class Queue:
    """A row of the table."""

    name: str
    bound: int
    unit: str
    when_full: WhenFull
    metric: str
    why: str


QUEUES: "Mapping[str, Queue]" = MappingProxyType(
    {
        q.name: q
        for q in (
            Queue(
                "link",
                64 * 1024,
                "bytes",
                WhenFull.WAIT,
                "edge_link_bytes_total",
                "the serial driver's buffer is next; what it drops is a Gap",
            ),
            Queue(
                "link-values",
                1024,
                "values",
                WhenFull.BREAK,
                "edge_link_bytes_total",
                "minutes of a Bluetooth strap; a reader that far behind has stopped",
            ),
            Queue(
                "host-records",
                64 * 1024,
                "bytes",
                WhenFull.WAIT,
                "edge_link_bytes_total",
                "what an adapter in a process of its own has decoded; it waits in its own process, and the device's buffers fill",
            ),
            Queue(
                "door",
                4 * 1024 * 1024,
                "bytes",
                WhenFull.REFUSE,
                "edge_door_waiting_bytes",
                "messages of all doors that are not on disk yet; a device keeps its package until it is acknowledged",
            ),
            Queue(
                "door-unacknowledged",
                64,
                "messages",
                WhenFull.NEVER,
                "edge_door_waiting_bytes",
                "of an MQTT door, in their order: the broker sends no more than the receive maximum that the door states (clause 4.9)",
            ),
            Queue(
                "host-door",
                64,
                "messages",
                WhenFull.REFUSE,
                "edge_door_waiting_bytes",
                "of a door in a process of its own that are not answered; what more it hands over is to come again",
            ),
            Queue(
                "open-batch",
                16 * 1024,
                "bytes",
                WhenFull.WAIT,
                "edge_batches_total",
                "a batch closes at this size or after 250 ms",
            ),
            Queue(
                "spool-waveform",
                256,
                "batches",
                WhenFull.GAP,
                "edge_spool_waiting",
                "a disk slower than the devices must not fill the memory",
            ),
            Queue(
                "spool-numeric",
                8 * 1024 * 1024,
                "bytes",
                WhenFull.GAP,
                "edge_spool_waiting_bytes",
                "half an hour of four batches a second that a disk refuses; doors refuse before, so their devices keep what they have",
            ),
            Queue(
                "spool-event",
                8 * 1024 * 1024,
                "bytes",
                WhenFull.GAP,
                "edge_spool_waiting_bytes",
                "of its own, so that numerics take no event's room; only noise on a line fills it, whose faults hold their bytes",
            ),
            Queue(
                "spool-alarm",
                0,
                "batches",
                WhenFull.NEVER,
                "edge_spool_waiting",
                "no bound: an alarm is never given up; screening makes one only when something changes, and doors refuse at their bound",
            ),
            Queue(
                "spool-index",
                65_536,
                "batches",
                WhenFull.READ,
                "edge_spool_index_behind",
                "places of durable batches while the index refuses, some 20 MB; those of alarms stay, what the others hold is in the segments",
            ),
            Queue(
                "losses",
                2 * 1024 * 1024 * 1024 // (2 * 48),
                "ranges",
                WhenFull.NEVER,
                "edge_losses_waiting",
                "ranges that touch are one: a hole and the batch that ends it are each a frame in the spool, which has its limit",
            ),
            Queue(
                "local-strips",
                2048,
                "groups",
                WhenFull.FORGET,
                "edge_local_page_frames_missed_total",
                "of one stream of samples: 90 s at 22 groups a second, and 4 MiB at most; each screen reads at its own pace",
            ),
            Queue(
                "local-events",
                1000,
                "events",
                WhenFull.FORGET,
                "edge_local_page_refused_total",
                "of alarms, for pages that come back",
            ),
            Queue(
                "device-commands",
                32,
                "commands",
                WhenFull.REFUSE,
                "edge_device_commands_total",
                "of the hub to devices: a person waits for each; one more is refused, and who asked hears it",
            ),
            Queue(
                "in-flight",
                256 * 1024,
                "bytes",
                WhenFull.WAIT,
                "edge_uplink_in_flight_bytes",
                "the rest lies in the spool",
            ),
        )
    }
)
