"""The gateway's end of the uplink, sans-I/O: what goes next on which connection, what is acknowledged, what comes again.

It opens no connection and reads no clock or spool: times come in as nanoseconds of any steady clock, batches are named by lane
and n. One object serves both connections (docs/reference/uplink.md; rules 3, 4 and 7 of the architecture). Its memory depends on
the number of ranges and of batches in flight, never on the length of the backlog.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from protocols.device_command import COMMAND_ID_BYTES
from protocols.errors import DecodeError
from protocols.link.events import (
    Acknowledged,
    AlarmsAcknowledged,
    CannotResend,
    ClockAnswered,
    CommandReceived,
    ConfigurationReceived,
    EpochConflict,
    HubReady,
    LinkEvent,
    PlacementReceived,
    ProtocolViolation,
    RejectedRecord,
    ResendAsked,
    Send,
    SendBatch,
    SendLost,
    SettingsReceived,
    TraceReceived,
    UpdateChunkReceived,
    UpdateOffered,
)
from protocols.link.lane import (
    ALARM_ID_BYTES,
    EPOCH_BYTES,
    MAX_ALARMS_TOLD,
    MAX_CONFIGURATION_BYTES,
    MAX_UPDATE_CHUNK_BYTES,
    UPDATE_DIGEST_BYTES,
    VERSION,
    Connection,
    Lane,
)
from protocols.link.ranges import Position, Ranges
from protocols.link.window import Window
from protocols.uplink_pb2 import GatewayMessage, Hello

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from protocols.uplink_pb2 import Ack, Configuration, DeviceCommand, HubHello, HubMessage, Resend

# The newest batches of a lane count as live: 40 of 250 ms are the 10 s that a page shows after a reconnection.
LIVE_BATCHES = 40
# Above this many ranges nothing is sent ahead of what is missing below, so that positions stay short on both sides.
MAX_RANGES = 256
# As many that cannot be read hold up the rest of a backlog: then it is the disk, and not a place on it.
MAX_PASSED_OVER = 64
HELLO_TIMEOUT_NS = 6_000_000_000
ACK_TIMEOUT_NS = 10_000_000_000


@dataclass(slots=True)
class _Lane:
    """What is known of one lane."""

    newest: int = 0  # the highest n that the spool ever made
    held: Ranges = field(default_factory=Ranges)  # in the spool, on disk
    stored: Position = field(default_factory=Position)  # at the hub
    taken: Ranges = field(default_factory=Ranges)  # stored, or sent since the last Hello
    known: bool = False  # whether the hub has ever told its position
    unsure: Ranges = field(default_factory=Ranges)  # in flight when the connection broke
    gone: Ranges = field(default_factory=Ranges)  # reported as CannotResend
    lost: Ranges = field(default_factory=Ranges)  # of these, what has its Gap on disk
    yielding: Ranges = field(default_factory=Ranges)  # lets everything else of the lane go first


@dataclass(slots=True)
class _Stream:
    """One connection while it is up."""

    connected_ns: int
    ready: bool = False
    broken: bool = False
    progress_ns: int = 0
    looked_at: bool = False  # a page looks at what is being filled
    window: Window = field(default_factory=Window)


class LinkSender:
    """The gateway's end of both connections.

    The shell calls `spool_opened` once a lane, `batch_ready` after each fdatasync, and for each connection in turn: `connected`,
    then `receive` for each message and `next`/`sent` until `next` has nothing, then `disconnected`.
    """

    def __init__(
        self, tenant: str, gateway: str, epoch: bytes, *, agent_version: str = "", features: "Iterable[str]" = ()
    ) -> None:
        if len(epoch) != EPOCH_BYTES:
            msg = f"epoch of {len(epoch)} bytes: expected {EPOCH_BYTES}"
            raise ValueError(msg)
        self._identity = (tenant, gateway, epoch)
        self._agent_version, self._features = agent_version, tuple(features)
        self._lanes = {lane: _Lane() for lane in Lane}
        self._streams: dict[Connection, _Stream] = {}

    # -- what the spool says

    def spool_opened(self, lane: Lane, held: "Iterable[tuple[int, int]]", newest: int) -> None:
        """Tell, once at start, which batches are on disk, and the highest n ever made in this epoch (0: none)."""
        state = self._lanes[lane]
        state.held = Ranges(held)
        state.newest = max(newest, state.held.newest)

    def batch_ready(self, lane: Lane, n: int, *, yields: bool = False) -> None:
        """A batch is on disk (after fdatasync); ValueError unless n follows the newest one.

        `yields`: it is of a flood, and goes when nothing else of its connection waits or is on its way (decision 0169).
        """
        state = self._lanes[lane]
        if n != state.newest + 1:
            msg = f"batch {n} of lane {lane.name.lower()}: expected {state.newest + 1}, numbers rise by one"
            raise ValueError(msg)
        state.newest = n
        state.held.add(n)
        if yields:
            state.yielding.add(n)

    def spool_dropped(self, lane: Lane, first: int, last: int) -> list[CannotResend]:
        """The spool has let go of batches first to last (inclusive), or cannot read them; returns what the hub will never have.

        What may have reached the hub unseen is not in the list: it is reported after the next Hello, if it did not.
        """
        state = self._lanes[lane]
        state.held.remove(first, last)
        if not state.known:
            return []
        excluded = Ranges(state.taken)
        excluded.update(state.unsure)
        excluded.update(state.gone)
        return self._report(lane, excluded, first, min(last, state.newest))

    def gap_recorded(self, lane: Lane, first: int, last: int) -> None:
        """The Gap records for a CannotResend are on disk: the hub may be told that these batches never come."""
        self._lanes[lane].lost.add(first, last)

    # -- the connections

    def connected(self, connection: Connection, now_ns: int) -> GatewayMessage:
        """A connection is up: the Hello to send as its first message."""
        self.disconnected(connection)
        self._streams[connection] = _Stream(connected_ns=now_ns, progress_ns=now_ns)
        tenant, gateway, epoch = self._identity
        hello = Hello(
            version=VERSION,
            tenant=tenant,
            gateway=gateway,
            epoch=epoch,
            connection=connection.wire,
            features=self._features,
            agent_version=self._agent_version,
        )
        return GatewayMessage(hello=hello)

    def disconnected(self, connection: Connection) -> None:
        """A connection is down: what was in flight on it comes again unless the next Hello says that it arrived."""
        if self._streams.pop(connection, None) is None:
            return
        for lane in connection.lanes:
            state = self._lanes[lane]
            for first, last in state.taken:
                state.unsure.update(state.stored.missing(first, last))

    def deadline(self, connection: Connection) -> int | None:
        """When to give the connection up for dead if nothing arrives; None while nothing is awaited."""
        stream = self._streams.get(connection)
        if stream is None:
            return None
        if not stream.ready:
            return stream.connected_ns + HELLO_TIMEOUT_NS
        oldest_ns = stream.window.oldest_ns()
        return None if oldest_ns is None else max(oldest_ns, stream.progress_ns) + ACK_TIMEOUT_NS

    # -- sending

    def hello_sent(self, connection: Connection, now_ns: int) -> None:
        """Tell that the Hello of `connected` went out: until its answer the way to the hub is measured."""
        stream = self._streams.get(connection)
        if stream is not None:
            stream.connected_ns = now_ns

    def next(self, connection: Connection, without: "Collection[SendBatch]" = ()) -> Send | None:
        """What to send now, None while the window is full or nothing is left. Changes nothing: `sent` does.

        `without`: what cannot be read just now, and keeps its place while others go.
        """
        stream = self._streams.get(connection)
        if stream is None or not stream.ready or stream.broken or not stream.window.has_room():
            return None
        for lane in connection.lanes:
            n = self._live(lane, without)
            if n is not None:
                return SendBatch(lane, n)
        if not stream.window.has_room(for_backlog=True):
            return None
        for lane in connection.lanes:
            send = self._backlog(lane, without, newest=stream.looked_at)
            if send is not None:
                return send
        return None if stream.window.bytes_in_flight else self._yielding(connection, without)

    def sent(self, connection: Connection, send: Send, size: int, now_ns: int) -> None:
        """What `next` named went out with `size` bytes."""
        stream = self._streams.get(connection)
        if stream is None:
            return
        first, last = (send.n, send.n) if isinstance(send, SendBatch) else (send.first, send.last)
        stream.window.sent(send.lane, first, last, size, now_ns)
        self._lanes[send.lane].taken.add(first, last)

    def bytes_in_flight(self, connection: Connection) -> int:
        """Bytes sent and not yet acknowledged, for the metric."""
        stream = self._streams.get(connection)
        return 0 if stream is None else stream.window.bytes_in_flight

    def waiting(self, lane: Lane) -> int:
        """Batches of the spool that the hub has not acknowledged, for the metric."""
        state = self._lanes[lane]
        missing = (gap for first, last in state.held for gap in state.stored.missing(first, last))
        return sum(last - first + 1 for first, last in missing)

    # -- receiving

    def receive(
        self,
        connection: Connection,
        message: "HubMessage",
        now_ns: int,
        made_ns: "Mapping[tuple[Lane, int], int]" = MappingProxyType({}),
    ) -> list[LinkEvent]:
        """Take a message of the hub. A stream that is down or has broken the protocol is not listened to.

        `made_ns`: of the batches that a hello names in `newest`, by lane and n, when the spool closed them, as far as it has them.
        """
        stream = self._streams.get(connection)
        if stream is None or stream.broken:
            return []
        kind = message.WhichOneof("message")
        if kind != "hello" and not stream.ready:
            return self._broken(stream, ProtocolViolation("first message of the hub", "hello", str(kind)))
        events: list[LinkEvent] = []
        if kind == "hello":
            stream.window.way_s = (now_ns - stream.connected_ns) / 1e9
            events = self._hello(connection, stream, message.hello, made_ns)
        elif kind == "ack":
            events = self._ack(connection, stream, message.ack, now_ns)
        elif kind == "alarms_acknowledged":
            events = self._alarms(connection, stream, message.alarms_acknowledged.ids)
        elif kind == "looked_at":
            stream.looked_at = message.looked_at.looked_at
        else:
            events = self._asked(connection, stream, message)
        return events

    def _asked(self, connection: Connection, stream: _Stream, message: "HubMessage") -> list[LinkEvent]:
        """What people at the hub have asked for; none for a later hub's message, which this version need not understand."""
        match message.WhichOneof("message"):
            case "resend":
                return self._resend(connection, stream, message.resend)
            case "configuration":
                return self._configuration(connection, stream, message.configuration)
            case "device_command":
                return self._command(connection, stream, message.device_command)
            case "update" | "update_chunk":
                return self._update(connection, stream, message)
            case _:
                return _told(message)

    def _hello(
        self,
        connection: Connection,
        stream: _Stream,
        hello: "HubHello",
        made_ns: "Mapping[tuple[Lane, int], int]",
    ) -> list[LinkEvent]:
        if stream.ready:
            return self._broken(stream, ProtocolViolation("hello", "one a connection", "a second one"))
        if hello.version != VERSION:
            return self._broken(stream, ProtocolViolation("hello version", str(VERSION), str(hello.version)))
        positions = dict.fromkeys(connection.lanes, Position())
        for message in hello.positions:
            try:
                position = Position.from_proto(message)
            except DecodeError as error:
                return self._broken(stream, ProtocolViolation(error.where, error.expected, error.found))
            if message.lane in set(connection.lanes):
                positions[Lane(message.lane)] = position
        conflict = self._conflict(positions, hello, made_ns)
        if conflict is not None:
            stream.broken = True
            return [conflict]
        stream.ready = True
        behind = tuple(lane for lane, position in positions.items() if self._fell_back(lane, position))
        events: list[LinkEvent] = [HubReady(connection, hello.hub_ns, tuple(hello.features), behind)]
        for lane, position in positions.items():
            events += self._positioned(lane, position)
        return events

    def _conflict(
        self, positions: "Mapping[Lane, Position]", hello: "HubHello", made_ns: "Mapping[tuple[Lane, int], int]"
    ) -> EpochConflict | None:
        """What the hub has and this spool never made, or made otherwise."""
        for lane, position in positions.items():
            if position.newest > self._lanes[lane].newest:
                return EpochConflict(lane, position.newest, self._lanes[lane].newest)
        for stated in hello.newest:
            if stated.lane not in positions:
                continue
            lane = Lane(stated.lane)
            is_other = made_ns.get((lane, stated.n), stated.closed_ns) != stated.closed_ns
            if is_other or stated.n > self._lanes[lane].newest:
                return EpochConflict(lane, stated.n, self._lanes[lane].newest)
        return None

    def _fell_back(self, lane: Lane, position: Position) -> bool:
        return any(not position.contains(first, last) for first, last in self._lanes[lane].stored)

    def _positioned(self, lane: Lane, position: Position) -> "Iterator[LinkEvent]":
        state = self._lanes[lane]
        state.stored, state.taken, state.known, state.unsure = position, Ranges(position), True, Ranges()
        yield Acknowledged(lane, position.copy())
        excluded = Ranges(position)
        excluded.update(state.held)
        excluded.update(state.gone)
        yield from self._report(lane, excluded, 1, state.newest)

    def _report(self, lane: Lane, excluded: Ranges, first: int, last: int) -> list[CannotResend]:
        missing = list(excluded.missing(first, last))
        self._lanes[lane].gone.update(missing)
        return [CannotResend(lane, a, b) for a, b in missing]

    def _ack(self, connection: Connection, stream: _Stream, ack: "Ack", now_ns: int) -> list[LinkEvent]:
        if ack.position.lane not in set(connection.lanes):
            found = f"lane {ack.position.lane}"
            return self._broken(stream, ProtocolViolation("ack", f"a lane of connection {connection.name}", found))
        lane = Lane(ack.position.lane)
        state = self._lanes[lane]
        try:
            position = Position.from_proto(ack.position)
        except DecodeError as error:
            return self._broken(stream, ProtocolViolation(error.where, error.expected, error.found))
        if position.newest > state.newest:
            expected, found = f"at most batch {state.newest}", f"batch {position.newest}"
            return self._broken(stream, ProtocolViolation(f"ack of lane {lane.name.lower()}", expected, found))
        events: list[LinkEvent] = [RejectedRecord(lane, r.n, r.index, r.reason) for r in ack.rejected]
        if all(state.stored.contains(first, last) for first, last in position):
            return events  # a repeated or overtaken ack says nothing new
        state.stored.update(position)
        state.taken.update(position)
        state.yielding.remove(1, state.stored.cumulative)
        stream.progress_ns = now_ns
        arrived = [
            item for item in stream.window.items() if item[0] is lane and state.stored.contains(item[1], item[2])
        ]
        stream.window.acknowledged(arrived, now_ns)
        return [*events, Acknowledged(lane, state.stored.copy())]

    def _alarms(self, connection: Connection, stream: _Stream, ids: "Sequence[bytes]") -> list[LinkEvent]:
        if connection is not Connection.ALARM:
            found = f"connection {connection.name.lower()}"
            return self._broken(stream, ProtocolViolation("alarms acknowledged", "the alarm connection", found))
        if len(ids) > MAX_ALARMS_TOLD:
            return self._broken(
                stream, ProtocolViolation("alarms acknowledged", f"at most {MAX_ALARMS_TOLD} ids", str(len(ids)))
            )
        wrong = next((one for one in ids if len(one) != ALARM_ID_BYTES), None)
        if wrong is not None:
            found = f"{len(wrong)} bytes"
            return self._broken(stream, ProtocolViolation("id of an alarm", f"{ALARM_ID_BYTES} bytes", found))
        return [AlarmsAcknowledged(tuple(UUID(bytes=one) for one in ids))]

    def _resend(self, connection: Connection, stream: _Stream, asked: "Resend") -> list[LinkEvent]:
        if asked.lane not in set(connection.lanes) or asked.lane == Lane.ALARM:
            expected = "a lane of the data connection"
            return self._broken(stream, ProtocolViolation("resend", expected, f"lane {asked.lane}"))
        return [ResendAsked(asked.request, Lane(asked.lane), asked.from_ns, asked.to_ns)]

    def _configuration(self, connection: Connection, stream: _Stream, sent: "Configuration") -> list[LinkEvent]:
        if connection is not Connection.DATA:
            found = f"connection {connection.name.lower()}"
            return self._broken(stream, ProtocolViolation("configuration", "the data connection", found))
        size = len(sent.toml.encode())
        if not sent.version or size > MAX_CONFIGURATION_BYTES:
            expected = f"a version from 1 and at most {MAX_CONFIGURATION_BYTES} bytes"
            return self._broken(stream, ProtocolViolation("configuration", expected, f"{sent.version}, {size} bytes"))
        return [ConfigurationReceived(sent.version, sent.toml)]

    def _command(self, connection: Connection, stream: _Stream, sent: "DeviceCommand") -> list[LinkEvent]:
        if connection is not Connection.DATA:
            found = f"connection {connection.name.lower()}"
            return self._broken(stream, ProtocolViolation("device command", "the data connection", found))
        if len(sent.id) != COMMAND_ID_BYTES:
            found = f"{len(sent.id)} bytes"
            return self._broken(stream, ProtocolViolation("id of a command", f"{COMMAND_ID_BYTES} bytes", found))
        return [CommandReceived(sent)]

    def _update(self, connection: Connection, stream: _Stream, message: "HubMessage") -> list[LinkEvent]:
        offer, chunk = message.update, message.update_chunk
        if connection is not Connection.DATA:
            found = f"connection {connection.name.lower()}"
            return self._broken(stream, ProtocolViolation("update", "the data connection", found))
        if message.HasField("update"):
            if not offer.rollout or len(offer.digest) != UPDATE_DIGEST_BYTES:
                expected = f"a rollout from 1 and a digest of {UPDATE_DIGEST_BYTES} bytes"
                found = f"{offer.rollout}, {len(offer.digest)} bytes"
                return self._broken(stream, ProtocolViolation("update", expected, found))
            return [UpdateOffered(offer.rollout, offer.digest, offer.version)]
        if len(chunk.data) > MAX_UPDATE_CHUNK_BYTES:
            expected = f"at most {MAX_UPDATE_CHUNK_BYTES} bytes"
            return self._broken(stream, ProtocolViolation("update chunk", expected, f"{len(chunk.data)} bytes"))
        return [UpdateChunkReceived(chunk.rollout, chunk.offset, chunk.data)]

    def _broken(self, stream: _Stream, violation: ProtocolViolation) -> list[LinkEvent]:
        stream.broken = True
        return [violation]

    # -- the order of sending

    def _out(self, lane: Lane, without: "Collection[SendBatch]", *, yielding: bool = False) -> Ranges:
        """What is not to be sent: what is taken, what is passed over, and what yields unless it is the turn of that."""
        state = self._lanes[lane]
        passed_over = [(send.n, send.n) for send in without if send.lane is lane]
        # With as many holes as a position may have the lowest are filled first, whatever they hold.
        behind = () if yielding or len(state.taken) >= MAX_RANGES else state.yielding
        if not passed_over and not len(behind):
            return state.taken
        out = Ranges(state.taken)
        out.update(passed_over)
        out.update(behind)
        return out

    def _yielding(self, connection: Connection, without: "Collection[SendBatch]") -> SendBatch | None:
        """Find the oldest batch that has let the others go first."""
        for lane in connection.lanes:
            state, out = self._lanes[lane], self._out(lane, without, yielding=True)
            for first, last in state.yielding:
                for a, b in state.held.within(first, last):
                    for n, _ in out.missing(a, b):
                        return SendBatch(lane, n)
        return None

    def _live(self, lane: Lane, without: "Collection[SendBatch]") -> int | None:
        """Find the newest live batch that is not sent; on the alarm lane the oldest live one, so that an end follows its onset."""
        state = self._lanes[lane]
        floor = max(1, state.newest - LIVE_BATCHES + 1)
        held = state.held.within(floor, state.newest)
        out = self._out(lane, without)
        missing = [gap for first, last in held for gap in out.missing(first, last)]
        if not missing:
            return None
        n = missing[0][0] if lane is Lane.ALARM else missing[-1][1]
        touches = state.taken.contains(n - 1) or state.taken.contains(n + 1)
        return n if touches or len(state.taken) < MAX_RANGES else None

    def _backlog(self, lane: Lane, without: "Collection[SendBatch]", *, newest: bool) -> Send | None:
        """Find a stretch that never comes, or the oldest batch that is not sent, or the newest while a page looks at the past."""
        state = self._lanes[lane]
        for first, last in state.lost:
            for a, b in state.taken.missing(first, last):
                return SendLost(lane, a, b)
        if len(without) >= MAX_PASSED_OVER:
            return None
        out = self._out(lane, without)
        if newest and len(state.taken) < MAX_RANGES:
            for first, last in reversed(list(state.held)):
                missing = list(out.missing(first, last))
                if missing:
                    return SendBatch(lane, missing[-1][1])
        for first, last in state.held:
            for n, _ in out.missing(first, last):
                return SendBatch(lane, n)
        return None


def _told(message: "HubMessage") -> list[LinkEvent]:
    """What changes nothing here; none for a later hub's message."""
    events: list[LinkEvent] = []
    kind = message.WhichOneof("message")
    if kind == "placement":
        events = [PlacementReceived(message.placement)]
    elif kind == "settings":
        events = [SettingsReceived(message.settings)]
    elif kind == "clock_answer":
        answer = message.clock_answer
        events = [ClockAnswered(answer.probe_sent_ns, answer.received_ns, answer.sent_ns)]
    elif kind == "trace_asked":
        asked = message.trace_asked
        events = [TraceReceived(asked.trace, asked.device, asked.within_ms / 1000)]
    return events
