"""Keeps both connections to the hub up and moves bytes between the spool and them; the rules are in `protocols.link`.

Reconnects for ever with growing, jittered pauses. A connection is given up when nothing comes back in time.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError as ProtobufError

from edge.health.metrics import (
    UPLINK_AGAIN,
    UPLINK_IGNORED,
    UPLINK_IN_FLIGHT,
    UPLINK_REJECTED,
    UPLINK_UP,
    UPLINK_VIOLATIONS,
)
from edge.identity import IdentityError
from edge.spool import NotNowError
from edge.uplink.downlink import Downlink, HubTimes
from edge.uplink.made import Made
from edge.uplink.reach import CONNECT_S, LONGEST_CONNECT_S, HubSilentError, reached
from edge.uplink.refused import AGAIN_S, Refused
from edge.uplink.route import Route
from protocols.link import (
    DEVICE_COMMANDS,
    MAX_RESENDABLE,
    Acknowledged,
    AlarmsAcknowledged,
    CannotResend,
    ClockAnswered,
    CommandReceived,
    ConfigurationReceived,
    Connection,
    EpochConflict,
    HubReady,
    Lane,
    LinkEvent,
    LinkSender,
    PlacementReceived,
    ProtocolViolation,
    Ranges,
    RejectedRecord,
    ResendAsked,
    SendBatch,
    SettingsReceived,
    TraceReceived,
    UpdateChunkReceived,
    UpdateOffered,
)
from protocols.uplink_pb2 import (
    ClockProbe,
    GatewayMessage,
    HubMessage,
    Placement,
    Range,
    Resendable,
)

if TYPE_CHECKING:
    from edge.spool import Spool

METHOD = "/wardlink.v1.Uplink/Connect"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
_LEAVE_S = 3.0  # for what is in flight, half a second of the rate
_MOVE_S = 15.0
_LOOK_S = 1.0  # at whether the hub still answers
MAX_TOLD = 128  # messages that wait for the connection; the eldest are asked for again
_BATCH_TAG = 0x12  # field 2 of GatewayMessage, length-delimited: a batch goes out as it lies in the spool

_log = structlog.get_logger()


class EpochConflictError(RuntimeError):
    """The hub knows batches that this spool never made, or made otherwise: a copied disk. The agent starts a new spool."""


PROBE_FIRST, PROBE_OFTEN_S, PROBE_EVERY_S = 8, 1.0, 15.0


class Uplink:
    """Both connections. `route` makes the way of one to the hub."""

    def __init__(
        self,
        link: LinkSender,
        spool: "Spool",
        route: Callable[[], Route],
        downlink: Downlink,
        now_ns: Callable[[], int] = time.time_ns,
        times: HubTimes | None = None,
    ) -> None:
        """`hub_ahead_ns` is how far the hub's clock was ahead of `now_ns` at the last hello, less than the way between them."""
        self._link, self._spool, self._downlink = link, spool, downlink
        self._routes = {connection: route() for connection in Connection}
        self._times = times
        self._hello_sent_ns, self._hello_heard_ns = dict.fromkeys(Connection, 0), dict.fromkeys(Connection, 0)
        self._made = {connection: Made(connection, spool) for connection in Connection}
        self._news = {connection: asyncio.Event() for connection in Connection}
        self._to_move = {connection: asyncio.Event() for connection in Connection}
        self._other_is_back = {connection: asyncio.Event() for connection in Connection}
        self._greeted = {connection: asyncio.Event() for connection in Connection}
        self._writing = {connection: asyncio.Lock() for connection in Connection}
        self._leaving: set[Connection] = set()
        self._went = {lane: Ranges() for lane in Lane}  # out, once or more
        self._time_wanted = asyncio.Event()
        self._now_ns = now_ns
        self._to_say: dict[str | None, GatewayMessage] = {}
        self._to_tell: list[GatewayMessage] = []
        self.hub_ahead_ns: int | None = None

    def is_greeted(self, connection: Connection) -> bool:
        """Whether the hub has said hello on the connection that is up."""
        return self._greeted[connection].is_set()

    def say(self, message: GatewayMessage) -> None:
        """Tell the hub something on the data connection, the newest of each kind; it asks again if this does not reach it."""
        self._to_say[message.WhichOneof("message")] = message
        self.wake(Connection.DATA)

    def tell(self, message: GatewayMessage) -> None:
        """Send the hub a message that needs no place in the spool: it asks again for what did not reach it."""
        self._to_tell = [*self._to_tell[1 - MAX_TOLD :], message]
        self.wake(Connection.DATA)

    def wake(self, connection: Connection) -> None:
        """There is something new to send."""
        self._news[connection].set()

    async def move(self) -> None:
        """Go over to new connections, one after the other, because the papers are new ones."""
        for connection in Connection:
            self._greeted[connection].clear()
            self._to_move[connection].set()
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOVE_S):
                    await self._greeted[connection].wait()

    def ask_time(self) -> None:
        """Have the hub asked for its time at once, where a connection is up."""
        self._time_wanted.set()

    async def run(self, connection: Connection) -> None:
        """Keep one connection up until cancelled; EpochConflictError when this spool must not go on."""
        name, route = connection.name.lower(), self._routes[connection]
        pause_s, patience_s = FIRST_PAUSE_S, CONNECT_S
        back = self._other_is_back[connection]
        ready: grpc.aio.Channel | None = None
        while True:
            began_s = time.monotonic()
            greeted, unknown, silent = self._greeted[connection], False, False
            greeted.clear()
            back.clear()
            try:
                channel, ready = ready, None
                if channel is None:
                    self._to_move[connection].clear()
                    channel = await reached(route, patience_s)
                ready = await self._once(connection, channel)
                if ready is not None:
                    continue
            except grpc.aio.AioRpcError as error:
                details = error.details() or ""
                unknown = details.startswith("certificate-unknown:")
                _log.warning("uplink-down", connection=name, hub=route.address, code=error.code().name, details=details)
            except asyncio.InvalidStateError:  # grpc.aio: the stream ended between a read and a write
                _log.warning("uplink-down", connection=name, hub=route.address, code="ENDED", details="")
            except IdentityError as error:
                _log.error("uplink-not-possible", connection=name, reason=str(error))
                pause_s = LONGEST_PAUSE_S
            except HubSilentError as error:
                silent = True
                _log.warning("uplink-down", connection=name, hub=route.address, code="SILENT", details=str(error))
            finally:
                self._link.disconnected(connection)
                UPLINK_UP.labels(connection=name).set(0)
            if time.monotonic() - began_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            # One that says hello and then nothing would say hello again: the next address is asked.
            if await route.fell(was_greeted=greeted.is_set() and not silent, unknown=unknown):
                this_pause_s = pause_s * random.uniform(0.5, 1.0)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                if greeted.is_set():
                    patience_s = CONNECT_S
                    await asyncio.sleep(this_pause_s)
                    continue
                patience_s = min(2 * patience_s, LONGEST_CONNECT_S)
                # No pause is kept when the hub has answered the other connection meanwhile.
                with suppress(TimeoutError):
                    await asyncio.wait_for(back.wait(), this_pause_s)

    async def _once(self, connection: Connection, channel: grpc.aio.Channel) -> grpc.aio.Channel | None:
        """One stream. A channel when it ended in order because the connection goes on there."""
        async with channel:
            method = channel.stream_stream(METHOD, request_serializer=_as_it_is, response_deserializer=_as_it_is)
            call = method()
            hello = self._link.connected(connection, time.monotonic_ns())
            self._hello_sent_ns[connection] = time.monotonic_ns()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await call.write(hello.SerializeToString())
                self._link.hello_sent(connection, time.monotonic_ns())
            except TimeoutError:
                msg = "nobody is there"
                raise HubSilentError(msg) from None
            reading = asyncio.create_task(self._read(connection, call))
            sending = asyncio.create_task(self._send(connection, call))
            moving = asyncio.create_task(self._elsewhere(connection))
            asking = asyncio.create_task(self._probe(connection, call))
            watching = asyncio.create_task(self._watch(connection))
            tasks = (reading, sending, moving, asking, watching)
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if moving in done:
                    asking.cancel()
                    await self._leave(connection, call, reading, sending)
                    return moving.result()
                for task in done:
                    task.result()
                return None
            finally:
                call.cancel()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _elsewhere(self, connection: Connection) -> grpc.aio.Channel:
        """Wait until the connection is to go on elsewhere, and make that way ready while this one still carries."""
        route, wish = self._routes[connection], self._to_move[connection]
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(route.home_in_s()):
                    await wish.wait()
            home = not wish.is_set()
            wish.clear()
            try:
                channel = await route.open(home=home)
            except IdentityError as error:
                _log.error("uplink-not-moved", connection=connection.name.lower(), reason=str(error))
                route.stays()
                continue
            try:
                async with asyncio.timeout(CONNECT_S):
                    await channel.channel_ready()
            except TimeoutError:
                await channel.close()
                route.stays()
                if not home:
                    await asyncio.sleep(CONNECT_S)
                    wish.set()
                continue
            except BaseException:
                await channel.close()
                raise
            if home:
                route.went_home()
            return channel

    async def _leave(
        self,
        connection: Connection,
        call: "grpc.aio.StreamStreamCall[bytes, bytes]",
        reading: "asyncio.Task[None]",
        sending: "asyncio.Task[None]",
    ) -> None:
        """Say that nothing more comes, and hear the rest: what was sent is acknowledged, so that it need not be sent again."""
        _log.info("uplink-moves", connection=connection.name.lower(), hub=self._routes[connection].address)
        self._leaving.add(connection)
        self._news[connection].set()
        try:
            async with asyncio.timeout(_LEAVE_S):
                await sending
                async with self._writing[connection]:
                    await call.done_writing()
                await reading
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            _log.warning("uplink-left-early", connection=connection.name.lower(), reason=type(error).__name__)
        finally:
            self._leaving.discard(connection)

    async def _read(self, connection: Connection, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        first = True
        async for data in call:
            for event in await self._events(connection, data):
                if isinstance(event, ProtocolViolation):
                    UPLINK_VIOLATIONS.labels(connection=connection.name.lower()).inc()
                    _log.error(
                        "hub-broke-the-protocol",
                        connection=connection.name.lower(),
                        rule=str(event),
                        what_to_do="run a hub of this version; the connection begins anew, the spool keeps the data",
                    )
                    return
                if isinstance(event, PlacementReceived):
                    await self._place(connection, event.placement, call, first=first)
                    first = False
                elif isinstance(event, ResendAsked):
                    await self._resend(connection, event, call)
                else:
                    await self._heard(connection, event)
            self._news[connection].set()

    async def _events(self, connection: Connection, data: bytes) -> list[LinkEvent]:
        heard_ns = time.monotonic_ns()
        try:
            message = HubMessage.FromString(data)
        except ProtobufError:
            return [ProtocolViolation("message of the hub", "a HubMessage", f"{len(data)} bytes that are none")]
        if message.WhichOneof("message") is None:
            UPLINK_IGNORED.labels(connection=connection.name.lower()).inc()
            _log.info("hub-message-ignored", connection=connection.name.lower(), bytes=len(data))
        if message.HasField("hello"):
            self._hello_heard_ns[connection] = heard_ns
            made_ns = await self._made[connection].at(message.hello)
            return self._link.receive(connection, message, heard_ns, made_ns)
        return self._link.receive(connection, message, heard_ns)

    async def _write(
        self, connection: Connection, call: "grpc.aio.StreamStreamCall[bytes, bytes]", data: bytes
    ) -> None:
        """Reader and sender both write, and two writes at once end a stream of gRPC."""
        async with self._writing[connection]:
            await call.write(data)

    async def _place(
        self,
        connection: Connection,
        placement: Placement,
        call: "grpc.aio.StreamStreamCall[bytes, bytes]",
        *,
        first: bool,
    ) -> None:
        applied = await self._downlink.placed(placement, first)
        if applied is not None and connection not in self._leaving:  # the next stream begins with the placement
            await self._write(connection, call, GatewayMessage(placement_applied=applied).SerializeToString())

    async def _resend(
        self, connection: Connection, asked: ResendAsked, call: "grpc.aio.StreamStreamCall[bytes, bytes]"
    ) -> None:
        try:
            ranges, kept_from_ns = await self._spool.closed_between(asked.lane, asked.from_ns, asked.to_ns)
        except OSError as error:
            _log.warning("resend-not-looked-up", lane=asked.lane.name.lower(), reason=str(error))
            return  # the next stream is asked again
        _log.info("resend-asked", lane=asked.lane.name.lower(), batches=sum(b - a + 1 for a, b in ranges))
        if len(ranges) > MAX_RESENDABLE:
            _log.warning(
                "resend-cut", ranges=len(ranges), most=MAX_RESENDABLE, what_to_do="ask again for the time before"
            )
        answer = Resendable(
            request=asked.request,
            lane=asked.lane.wire,
            ranges=[Range(first=first, last=last) for first, last in ranges[-MAX_RESENDABLE:]],
            kept_from_ns=kept_from_ns,
        )
        if connection not in self._leaving:  # the next stream is asked again
            await self._write(connection, call, GatewayMessage(resendable=answer).SerializeToString())

    async def _heard(self, connection: Connection, event: LinkEvent) -> None:
        match event:
            case Acknowledged():
                self._acknowledged(event)
            case HubReady():
                self._ready(connection, event)
            case RejectedRecord():
                UPLINK_REJECTED.labels(lane=event.lane.name.lower()).inc()
                _log.error(
                    "record-quarantined",
                    lane=event.lane.name.lower(),
                    n=event.n,
                    index=event.index,
                    reason=event.reason,
                )
            case CannotResend():
                await self._downlink.cannot_resend(event)
            case ClockAnswered():
                if self._times is not None:
                    back_ns = time.monotonic_ns()
                    self._times.answered(event.probe_sent_ns, event.received_ns, event.sent_ns, back_ns)
            case (
                UpdateOffered()
                | UpdateChunkReceived()
                | AlarmsAcknowledged()
                | SettingsReceived()
                | ConfigurationReceived()
                | CommandReceived()
                | TraceReceived()
            ):
                await self._downlink.take(event)
            case EpochConflict():
                raise EpochConflictError(str(event))
            case PlacementReceived() | ResendAsked() | ProtocolViolation():  # `_read` has dealt with them
                return

    def _ready(self, connection: Connection, event: HubReady) -> None:
        self._greeted[connection].set()
        for other in Connection:
            if other is not connection:
                self._other_is_back[other].set()
        self._routes[connection].greeted()
        if self._times is not None and event.hub_ns:
            sent_ns = self._hello_sent_ns[event.connection]
            self._times.answered(sent_ns, event.hub_ns, event.hub_ns, self._hello_heard_ns[event.connection])
        self.hub_ahead_ns = event.hub_ns - self._now_ns()
        if connection is Connection.DATA and DEVICE_COMMANDS in event.features:
            self._downlink.greeted()
        UPLINK_UP.labels(connection=connection.name.lower()).set(1)
        _log.info(
            "uplink-up",
            connection=connection.name.lower(),
            hub=self._routes[connection].address,
            behind=[lane.name.lower() for lane in event.behind],
        )

    def _acknowledged(self, event: Acknowledged) -> None:
        self._spool.acknowledged(event.lane, event.position)
        tracer = self._downlink.tracer
        if tracer is not None and tracer.acknowledged(event.lane, event.position):
            self.wake(Connection.DATA)

    async def _send(self, connection: Connection, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        news, refused = self._news[connection], Refused()
        gauge = UPLINK_IN_FLIGHT.labels(connection=connection.name.lower())
        while True:
            news.clear()
            while (self._to_say or self._to_tell) and self._may_say(connection):
                message = self._to_say.pop(next(iter(self._to_say))) if self._to_say else self._to_tell.pop(0)
                await self._write(connection, call, message.SerializeToString())
            for message in self._traced(connection):
                await self._write(connection, call, message.SerializeToString())
            refused.begin()
            while self._may_send(connection) and (send := self._link.next(connection, refused.without)) is not None:
                if isinstance(send, SendBatch):
                    if refused.holds(send.lane) and not self._spool.is_recent(send.lane, send.n):
                        refused.pass_over(send)
                        continue
                    try:
                        batch = await self._batch(send.lane, send.n)
                    except NotNowError as error:  # it keeps its place: the same is asked for again
                        if refused.refuse(send):
                            _log.warning("batch-waits-for-the-disk", reason=str(error), again_in_s=AGAIN_S)
                            asyncio.get_running_loop().call_later(AGAIN_S, news.set)
                        continue
                    if batch is None:
                        await asyncio.sleep(0)  # the spool tells the link that it is gone
                        break
                    self._count(send.lane, send.n)
                    tracer = self._downlink.tracer
                    data = _wrapped(batch if tracer is None else tracer.sent(send.lane, send.n, batch))
                else:
                    data = send.message.SerializeToString()
                self._link.sent(connection, send, len(data), time.monotonic_ns())
                await self._write(connection, call, data)
            gauge.set(self._link.bytes_in_flight(connection))
            if connection in self._leaving:
                return
            await news.wait()

    async def _watch(self, connection: Connection) -> None:
        """Give the connection up when nothing comes back in time, also while a write waits for whoever reads nothing."""
        while True:
            deadline_ns = self._link.deadline(connection)
            left_s = _LOOK_S if deadline_ns is None else (deadline_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                msg = "the hub answers nothing in time"
                raise HubSilentError(msg)
            await asyncio.sleep(min(left_s, _LOOK_S))

    async def _probe(self, connection: Connection, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        """Ask for the hub's time on the alarm connection: often at first, so that drift is told soon, then now and then."""
        if self._times is None or connection is not Connection.ALARM:
            await asyncio.Event().wait()
        asked = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_OFTEN_S if asked < PROBE_FIRST else PROBE_EVERY_S):
                    await self._time_wanted.wait()
            self._time_wanted.clear()
            asked += 1
            async with self._writing[connection]:
                probe = ClockProbe(sent_ns=time.monotonic_ns())
                await call.write(GatewayMessage(clock_probe=probe).SerializeToString())

    def _count(self, lane: Lane, n: int) -> None:
        went = self._went[lane]
        if went.contains(n):
            UPLINK_AGAIN.labels(lane=lane.name.lower()).inc()
        else:
            went.add(n)

    def _may_say(self, connection: Connection) -> bool:
        is_there = connection is Connection.DATA and connection not in self._leaving
        return is_there and self._greeted[connection].is_set()

    def _traced(self, connection: Connection) -> list[GatewayMessage]:
        is_there = connection is Connection.DATA and connection not in self._leaving
        tracer = self._downlink.tracer
        return tracer.to_tell() if is_there and tracer is not None and self._greeted[connection].is_set() else []

    def _may_send(self, connection: Connection) -> bool:
        if connection in self._leaving:
            return False
        return self._times is None or self._times.may_send(connection)

    async def _batch(self, lane: Lane, n: int) -> bytes | None:
        recent = self._spool.is_recent(lane, n)
        batch = self._spool.read(lane, n) if recent else await asyncio.to_thread(self._spool.read, lane, n)
        return batch if batch is None or self._times is None else self._times.right(lane, n, batch)


def _as_it_is(message: bytes) -> bytes:
    return message


def _wrapped(batch: bytes) -> bytes:
    """GatewayMessage{batch} around the bytes of a Batch (protobuf encoding: tag, varint length, bytes)."""
    head = bytearray([_BATCH_TAG])
    size = len(batch)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + batch
