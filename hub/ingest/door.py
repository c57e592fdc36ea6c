"""The gRPC service Uplink: one object a stream, from the certificate to the acknowledgements (docs/reference/uplink.md).

The protocol itself is `protocols.link`, the transactions are `writer`'s; here are the stream, its limits and its refusals.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast

import grpc
import psycopg
import structlog
from google.protobuf.message import DecodeError as ProtobufError
from prometheus_client import Counter

from hub.core import principal as principals
from hub.core.caller import Caller, called_by
from hub.core.errors import DomainError, ForbiddenError, InvalidError, UnavailableError
from hub.core.functions import observe, timed
from hub.core.history import OtherHistoryError
from hub.core.policy import check, declares
from hub.ingest.identity import GatewayIdentity, identify
from hub.ingest.rows import RowMaker, Rows
from hub.ingest.streams import MAX_WAITING, Stream, Streams
from hub.ingest.writer import Pending, Remake, Writer
from protocols.link import DEVICE_COMMANDS, Connection, Lane, ProtocolViolation, Refusal, Verdict, check_hello
from protocols.uplink_pb2 import Batch, ClockAnswer, GatewayMessage, Hello, HubHello, HubMessage, Lost
from protocols.wire import MAX_RECORDS, MAX_UPLINK_BYTES

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.ingest.downlink import Downlink
    from hub.ingest.pacing import Paces
    from hub.ingest.streams import Link
    from hub.ingest.traced import Mark, Tracer
    from hub.upstream.intake import Sharing

HELLO_TIMEOUT_S = 5.0
MAX_FEATURES = 32
MAX_VERSION = 64  # characters of what an agent calls its version
LIVE_NS = 60 * 1_000_000_000  # what was closed longer ago is a backlog: late by what kept it, not by us
# What gRPC takes at all. It is twice the bound of a message, so that a gateway hears why one above the bound is refused.
TRANSPORT_BYTES = 2 * MAX_UPLINK_BYTES
_REFUSED = Counter("hub_ingest_refused_total", "Streams refused or cut off", ["reason"])

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]


class UplinkDoor:
    """The servicer. `alarm_writer` has a connection and a task of its own: alarms never stand behind data."""

    def __init__(
        self,
        audit: "AuditLog",
        data_writers: list[Writer],
        alarm_writer: Writer,
        streams: Streams,
        downlink: "Downlink",
        arrived: Callable[["Pending", "Batch"], int | None],
        backlog: Callable[[tuple[int, str], bool], None],
        sharing: "Sharing",
        paces: "Paces",
        tracer: "Tracer",
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`arrived` gets what was stored and says how often the gateway's clock was set back; None: that was before it last was.

        `backlog` gets its key and whether waveforms older than those stored are still to come.
        """
        self.audit = audit
        self._data_writers = data_writers
        self._alarm_writer = alarm_writer
        self._streams = streams
        self._downlink = downlink
        self._arrived = arrived
        self._backlog = backlog
        self._sharing = sharing
        self._paces = paces
        self._tracer = tracer
        self._now_ns = now_ns
        self._log = structlog.get_logger()

    @declares("uplink.connect")
    async def Connect(self, _: AsyncIterable[bytes], context: Context) -> None:  # noqa: N802  the name in uplink.proto
        """Serve one stream until either side ends it."""
        with called_by(Caller(context.peer())):
            await self._connect(context)

    async def _connect(self, context: Context) -> None:
        stream: Stream | None = None
        try:
            with timed("ingest:uplink.connect:hello"):
                identity = await self._admit(context)
                stream = await self._greet(identity, context)
                await self._tell(stream, context)
            await self._serve(stream, context)
        except DomainError as error:
            await self._refuse(error, context)
        except psycopg.OperationalError as error:  # no connection of the pool was free in time, too
            self._log.warning("uplink-without-database", error=type(error).__name__)
            await self._refuse(
                UnavailableError("The database did not answer.", "Connect again later.", reason="database"), context
            )
        finally:
            if stream is not None:
                self._streams.close(stream)

    async def _admit(self, context: Context) -> GatewayIdentity:
        pem = b"".join(context.auth_context().get("x509_pem_cert", ()))
        if not pem:
            raise ForbiddenError("No client certificate was shown.", "Enrol the gateway.", reason="no-certificate")
        # Which connection it is to be is not said yet: that of an alarm may not wait until there is one for data.
        identity = await identify(self._streams.database_of(Connection.ALARM), pem)
        check(_principal(identity), "uplink.connect")
        return identity

    async def _greet(self, identity: GatewayIdentity, context: Context) -> Stream:
        hello = await self._read_hello(context)
        refusal = check_hello(hello, tenant=identity.tenant, gateway=identity.gateway)
        if refusal is not None:
            raise _refused(refusal)
        if not self._sharing.is_of(identity.history):
            await self._sharing.read()
        link = await self._streams.link(identity, bytes(hello.epoch), Connection(hello.connection))
        stream = Stream(
            link,
            Connection(hello.connection),
            identity.fingerprint,
            frozenset(hello.features[:MAX_FEATURES]),
            agent_version=hello.agent_version[:MAX_VERSION],
        )
        self._streams.open(stream)
        try:
            stream.send(HubMessage(hello=await self._positions(stream.link, hello)))
            stream.greeted = True
            await self._downlink.greet(stream)
            await self._tracer.greet(stream)
        except BaseException:
            self._streams.close(stream)
            raise
        return stream

    async def _tell(self, stream: Stream, context: Context) -> None:
        """Audit that the gateway is connected, before it has its Hello: once a stream, which covers all that comes on it."""
        identity = stream.link.identity
        details = {
            "connection": stream.connection.name.lower(),
            "certificate": identity.fingerprint.hex(),
            "peer": context.peer(),
        }
        async with self._streams.database_of(stream.connection).transaction() as connection:
            target = f"gateway:{identity.gateway}"
            await self.audit.write(connection, _principal(identity), "uplink.connect", target, details)

    async def _positions(self, link: "Link", hello: Hello) -> HubHello:
        """Answer the Hello with what the database holds, once nothing that came on an older stream is still being stored."""
        connection, receiver = Connection(hello.connection), link.receiver
        while True:
            link.settled.clear()
            commits = receiver.commits
            if not receiver.is_storing(connection):
                positions, newest = await self._streams.positions(link.identity, link.epoch, connection)
                if not receiver.is_storing(connection) and commits == receiver.commits:
                    receiver.restate(connection, positions)
                    answer = receiver.hello(hello, self._now_ns(), (DEVICE_COMMANDS,), newest)
                    if isinstance(answer, Refusal):
                        raise _refused(answer)
                    if isinstance(answer, HubHello):
                        return answer
                continue
            await link.settled.wait()

    async def _read_hello(self, context: Context) -> Hello:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                message = await _read(context)
        except TimeoutError as error:
            raise InvalidError(
                f"No Hello within {HELLO_TIMEOUT_S:.0f} s.", "Send Hello first.", reason="hello-missing"
            ) from error
        if message is None or message.WhichOneof("message") != "hello":
            raise InvalidError("The first message is no Hello.", "Send Hello first.", reason="hello-missing")
        return message.hello

    async def _serve(self, stream: Stream, context: Context) -> None:
        """Read and send until one side ends it. Whatever ends it goes through the sender: a write may not be cut short."""
        reader = asyncio.ensure_future(self._read_to_the_end(stream, context))
        sender = asyncio.ensure_future(self._send(stream, context))
        try:
            await sender
        finally:
            for task in (reader, sender):
                task.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)

    async def _read_to_the_end(self, stream: Stream, context: Context) -> None:
        try:
            await self._receive(stream, context)
            # The gateway has said all that it had: what is being stored is acknowledged before the stream ends.
            for _ in range(MAX_WAITING):
                await stream.room.acquire()
            stream.finished = True
            stream.wake.set()
        except DomainError as error:
            stream.end(error)
        except OtherHistoryError:
            stream.end(UnavailableError("The database was started again.", "Connect again.", reason="database-anew"))
        except Exception:  # noqa: BLE001  whatever it is, the gateway is told to come again, and nothing is acknowledged
            self._log.exception("uplink-stream-failed", gateway_id=stream.link.identity.gateway_id)
            stream.end(UnavailableError("The hub failed.", "Connect again later.", reason="internal"))

    async def _send(self, stream: Stream, context: Context) -> None:
        while True:
            await stream.wake.wait()
            stream.wake.clear()
            outbox, stream.outbox = stream.outbox, []
            to_ack, stream.to_ack = stream.to_ack, {}
            for lane, rejected in to_ack.items():
                ack = stream.link.receiver.ack(lane)
                ack.rejected.extend(rejected)
                outbox.append(HubMessage(ack=ack))
            for message in outbox:
                await context.write(message.SerializeToString())
            if (answer := stream.clock_answer) is not None:
                stream.clock_answer = None
                answer.sent_ns = self._now_ns()
                await context.write(HubMessage(clock_answer=answer).SerializeToString())
            if (chunk := stream.update_chunk) is not None:
                stream.update_chunk = None
                await context.write(HubMessage(update_chunk=chunk).SerializeToString())
            if stream.ending is not None:
                raise stream.ending
            if stream.finished and not stream.to_ack:
                return

    async def _receive(self, stream: Stream, context: Context) -> None:
        while (message := await _read(context)) is not None and stream.ending is None:
            kind = message.WhichOneof("message")
            if kind == "batch":
                size = (len(message.batch.records), message.batch.ByteSize())
                await self._paces.wait(stream.link.identity, stream.connection, *size)
                await self._take(stream, message.batch, size[1])
            elif kind == "lost":
                await self._take(stream, message.lost, 0)
            elif kind == "clock_probe":
                received_ns = self._now_ns()
                probe_sent_ns = message.clock_probe.sent_ns
                stream.clock_answer = ClockAnswer(probe_sent_ns=probe_sent_ns, received_ns=received_ns)
                stream.wake.set()
            elif kind == "trace_acknowledged":
                await self._tracer.acknowledged(stream, message.trace_acknowledged)
            elif kind == "hello":
                raise InvalidError("A second Hello on one stream.", "Open a new stream.", reason="hello-twice")
            else:
                await self._downlink.heard(stream, message)

    async def _take(self, stream: Stream, message: Batch | Lost, size_bytes: int) -> None:
        if stream.ending is not None:
            return
        link = stream.link
        verdict = await self._verdict(stream, message)
        lane = Lane(message.lane)
        if verdict is Verdict.DUPLICATE:
            stream.to_ack.setdefault(lane, [])
            stream.wake.set()
            return
        batch = message if isinstance(message, Batch) else None
        mark = None if batch is None else self._tracer.mark(stream, batch)
        first, last = (
            (message.n, message.n) if isinstance(message, Batch) else (message.range.first, message.range.last)
        )
        maker = link.maker_of(lane)
        try:
            rows = Rows() if batch is None else await maker.make(batch)
            await stream.room.acquire()
        except BaseException:
            link.receiver.failed(lane, first, last)
            link.settled.set()
            raise
        identity = link.identity
        pending = Pending(
            tenant_id=identity.tenant_id,
            gateway_id=identity.gateway_id,
            gateway=identity.gateway,
            epoch=link.epoch,
            lane=lane,
            first=first,
            last=last,
            rows=rows,
            settled=functools.partial(self._settled, stream, time.monotonic(), mark),
            batch=batch,
            remake=None if batch is None else _remake(maker, batch),
            rules=self._sharing.of(identity.tenant_id),
            history=identity.history,
            size_bytes=size_bytes,
        )
        writers = self._data_writers
        writer = self._alarm_writer if lane is Lane.ALARM else writers[identity.gateway_id % len(writers)]
        link.writing += 1
        try:
            await writer.put(pending)
        except BaseException:
            link.writing -= 1
            link.receiver.failed(lane, first, last)
            link.settled.set()
            raise

    async def _verdict(self, stream: Stream, message: Batch | Lost) -> Verdict:
        if isinstance(message, Batch) and len(message.records) > MAX_RECORDS:
            raise InvalidError(
                f"Batch {message.n} has {len(message.records)} records: expected at most {MAX_RECORDS}.",
                "Close batches earlier.",
                reason="batch-too-long",
            )
        while True:
            # Cleared before the question, so that an end between question and wait is seen.
            stream.link.settled.clear()
            verdict = stream.link.receiver.receive(stream.connection, message)
            if isinstance(verdict, ProtocolViolation):
                raise InvalidError(f"{verdict}.", "Update the agent.", reason="protocol")
            if verdict is not Verdict.WAIT:
                return verdict
            await stream.link.settled.wait()

    def _settled(
        self, stream: Stream, began_s: float, mark: "Mark | None", pending: Pending, error: Exception | None
    ) -> None:
        link = stream.link
        if mark is not None:
            self._tracer.settled(mark, error)
        self._measure(began_s, pending, error)
        link.writing -= 1
        stream.room.release()
        if error is None:
            ack = link.receiver.committed(
                pending.lane, pending.first, pending.last, [(h.index, h.reason) for h in pending.rows.held]
            )
            stream.to_ack.setdefault(pending.lane, []).extend(ack.rejected)
            stream.wake.set()
            if pending.batch is not None and pending.lane is not Lane.ALARM:
                pending.rows.set_clock(self._arrived(pending, pending.batch))
            if pending.lane is Lane.WAVEFORM:
                self._backlog(link.identity.key, bool(ack.position.stored))
        else:
            link.receiver.failed(pending.lane, pending.first, pending.last)
            stream.end(
                UnavailableError(
                    "The hub could not store a batch.", "Connect again and send it again.", reason="not-stored"
                )
            )
        link.settled.set()
        self._streams.forget(link)

    def _measure(self, began_s: float, pending: Pending, error: Exception | None) -> None:
        """How long storing took, and how old the newest of a live batch was then."""
        kind = "alarms" if pending.lane is Lane.ALARM else "data"
        observe(f"ingest:uplink.store:{kind}", time.monotonic() - began_s, failed=error is not None)
        now_ns = self._now_ns()
        is_live = pending.batch is not None and now_ns - pending.batch.closed_ns < LIVE_NS
        newest = [*pending.rows.newest.values(), *(change.detected_ns for change in pending.rows.alarms)]
        if error is None and is_live and newest:
            observe(f"ingest:delay:{pending.lane.name.lower()}", (now_ns - max(newest)) / 1e9)

    async def _refuse(self, error: DomainError, context: Context) -> NoReturn:
        _REFUSED.labels(error.reason).inc()
        names = _claimed(context)
        self._log.warning("uplink-refused", reason=error.reason, gateway=names)
        if isinstance(error, (ForbiddenError, InvalidError)):
            with suppress(DomainError):
                await self.audit.record(
                    principals.ANONYMOUS,
                    "uplink.connect",
                    names,
                    {"reason": error.reason, "peer": context.peer()},
                    outcome="denied",
                )
        await context.abort(grpc.StatusCode[error.grpc_status], error.grpc_details().strip())
        raise error  # abort has raised; this is for the reader and the type checker


def method_handlers(door: UplinkDoor) -> grpc.GenericRpcHandler:
    """Bind the servicer to the service's name. Messages stay bytes here, so that what is no message gets a clear status."""
    return grpc.method_handlers_generic_handler(
        "wardlink.v1.Uplink", {"Connect": grpc.stream_stream_rpc_method_handler(door.Connect)}
    )


def _principal(identity: GatewayIdentity) -> principals.Principal:
    return principals.gateway(identity.gateway, identity.tenant_id)


def _refused(refusal: Refusal) -> ForbiddenError:
    return ForbiddenError(f"Hello: {refusal.text}.", "", reason=f"hello-{refusal.code}")


def _remake(maker: RowMaker, batch: Batch) -> Remake:
    async def remake(index: int) -> Rows:
        return await maker.make_some(batch, [(index, batch.records[index])])

    return remake


async def _read(context: Context) -> GatewayMessage | None:
    raw = cast("object", await context.read())
    if not isinstance(raw, bytes):
        return None
    if len(raw) > MAX_UPLINK_BYTES:
        raise InvalidError(
            f"A message has {len(raw)} bytes: expected at most {MAX_UPLINK_BYTES}.",
            "Close batches earlier.",
            reason="message-too-large",
        )
    try:
        return GatewayMessage.FromString(raw)
    except ProtobufError as error:
        raise InvalidError(
            f"A message of {len(raw)} bytes is no GatewayMessage.",
            "Send messages of protocols/uplink.proto, version 1.",
            reason="garbage",
        ) from error


def _claimed(context: Context) -> str:
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return ",".join(name.decode("utf-8", "replace") for name in names)[:200] or "-"
