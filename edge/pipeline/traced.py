"""Notes the hops of one message through the agent, when somebody at the hub asks for the next one of a device (`wardlink trace`).

While nobody asks, each way in looks at an empty dict. What goes out are times, source and kind, never a value; nothing of it is
written to the disk (decision 0161).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edge.pipeline.batcher import lane_for
from protocols.link import Lane
from protocols.record import (
    AlarmCondition,
    DeviceEvent,
    Document,
    Observation,
    Record,
    SubjectClaim,
    WaveformGroup,
)
from protocols.uplink_pb2 import Batch, GatewayMessage, TraceAcknowledged, Traced
from protocols.wire import MAX_UPLINK_BYTES

if TYPE_CHECKING:
    import asyncio

    from protocols.link import Position, TraceReceived

LONGEST_S = 600.0
_MOST = 16  # asked for at once; the eldest is forgotten
_ROOM = 1024  # bytes of a message that a mark may need, with what is around it
_KINDS: Mapping[type[Record], str] = {
    Observation: "observation",
    WaveformGroup: "waveform",
    AlarmCondition: "alarm",
    DeviceEvent: "event",
    Document: "document",
    SubjectClaim: "subject",
}


@dataclass(slots=True)
class Mark:
    """A message on its way. Times in ns since 1970 by the gateway's clock, 0 until then."""

    trace: int
    device: str
    door_ns: int
    decoded_ns: int = 0
    screened_ns: int = 0
    durable_ns: int = 0
    source: str = ""
    kind: str = ""
    record_ns: int = 0


@dataclass(slots=True)
class Tracer:
    """What is asked for, and what is followed. `now_ns`: the gateway's clock."""

    now_ns: Callable[[], int]
    _asked: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    _joining: dict[Lane, Mark] = field(default_factory=dict[Lane, Mark])
    _followed: dict[tuple[Lane, int], Mark] = field(default_factory=dict[tuple[Lane, int], Mark])
    _acknowledged: list[GatewayMessage] = field(default_factory=list[GatewayMessage])

    def ask(self, asked: "TraceReceived") -> None:
        """Follow the next message of this device; the newest question about it counts."""
        self._asked.pop(asked.device, None)
        while len(self._asked) >= _MOST:
            del self._asked[next(iter(self._asked))]
        self._asked[asked.device] = (asked.trace, time.monotonic() + min(asked.within_s, LONGEST_S))

    def begin(self, device: str, door_ns: int) -> Mark | None:
        """Bytes of a device came at `door_ns`: a mark when somebody waits for them. It is followed when a record comes of them."""
        if not self._asked or device not in self._asked:
            return None
        trace, ends_s = self._asked[device]
        if time.monotonic() >= ends_s:
            del self._asked[device]
            return None
        return Mark(trace, device, door_ns)

    def decoded(self, mark: Mark) -> None:
        """The decoder has given out what it made of these bytes."""
        mark.decoded_ns = self.now_ns()

    def screened(self, mark: Mark, records: Sequence[Record]) -> None:
        """Call it before `records` go to the batcher. The first that the device itself said is followed, if there is one."""
        record = next((r for r in records if type(r) in _KINDS and r.source.device == mark.device), None)
        if record is None or self._asked.get(mark.device, (0, 0.0))[0] != mark.trace:
            return  # the packet is not complete: the next bytes are marked anew
        del self._asked[mark.device]
        mark.screened_ns = self.now_ns()
        mark.source, mark.kind, mark.record_ns = str(record.source), _KINDS[type(record)], record.times.gateway_ns
        self._joining[lane_for(record)] = mark

    def closed(self, lane: "Lane", parts: "Sequence[asyncio.Future[int]]") -> None:
        """A batch of a lane went to the spool, in so many parts; a message is looked for in the first of them."""
        if self._joining and (mark := self._joining.pop(lane, None)) is not None and parts:
            parts[0].add_done_callback(partial(self._durable, lane, mark))

    def _durable(self, lane: "Lane", mark: Mark, future: "asyncio.Future[int]") -> None:
        if future.cancelled() or future.exception() is not None:
            return
        mark.durable_ns = self.now_ns()
        while len(self._followed) >= _MOST:
            del self._followed[next(iter(self._followed))]
        self._followed[lane, future.result()] = mark

    def sent(self, lane: "Lane", n: int, batch: bytes) -> bytes:
        """Bytes of a Batch as they go out now, with the mark behind them if a message in it is followed.

        Fields may come in any order, so that what is put behind a message is a part of it (protobuf encoding).
        """
        mark = self._followed.get((lane, n)) if self._followed else None
        if mark is None or len(batch) + _ROOM > MAX_UPLINK_BYTES:
            return batch
        traced = Traced(
            trace=mark.trace,
            source=mark.source,
            kind=mark.kind,
            record_ns=mark.record_ns,
            door_ns=mark.door_ns,
            decoded_ns=mark.decoded_ns,
            screened_ns=mark.screened_ns,
            durable_ns=mark.durable_ns,
            sent_ns=self.now_ns(),
        )
        return batch + Batch(traced=traced).SerializeToString()

    def acknowledged(self, lane: "Lane", position: "Position") -> bool:
        """The hub has so much of a lane; whether there is something to tell it."""
        if not self._followed:
            return False
        now_ns = self.now_ns()
        for key in [k for k in self._followed if k[0] is lane and position.contains(k[1], k[1])]:
            told = TraceAcknowledged(trace=self._followed.pop(key).trace, acknowledged_ns=now_ns)
            self._acknowledged.append(GatewayMessage(trace_acknowledged=told))
        del self._acknowledged[:-_MOST]
        return bool(self._acknowledged)

    def to_tell(self) -> list[GatewayMessage]:
        """What the hub is to be told, once."""
        told, self._acknowledged = self._acknowledged, []
        return told
