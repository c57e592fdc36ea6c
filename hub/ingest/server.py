"""The role ingest as one object: gRPC server, enrolment door, writers, live push, link watch. Composed by `hub.app`.

Leaves what each does to its module; here is only in which order they start and stop.
"""

import asyncio
import functools
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
import structlog
import uvicorn

from hub.core.ending import end_all
from hub.core.http import QuietServer
from hub.core.live import LiveMessage, LivePublisher, backlog_message, link_message
from hub.core.loop import watch_loop
from hub.gateways.enrolment import create_app
from hub.gateways.renewal import RenewalDoor
from hub.gateways.renewal import method_handlers as renewal_handlers
from hub.ingest.arrivals import Arrivals
from hub.ingest.certificate import ServerCertificate
from hub.ingest.door import TRANSPORT_BYTES, UplinkDoor, method_handlers
from hub.ingest.downlink import Downlink, LocalPageTerms
from hub.ingest.identity import identify
from hub.ingest.links import BacklogChange, LinkChange, LinkWatch
from hub.ingest.listener import listen
from hub.ingest.pacing import GatewayPace, Paces
from hub.ingest.release import Releaser
from hub.ingest.streams import Streams
from hub.ingest.throttled import Throttled
from hub.ingest.traced import Tracer
from hub.ingest.writer import Pending, Writer
from hub.upstream.intake import Sharing

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.gateways.ca import CertificateAuthority
    from hub.gateways.service import GatewayService
    from protocols.uplink_pb2 import Batch

_LOOK_S = 0.25
_GATHER_S = 0.01  # of the 250 ms in which a batch closes
_GRACE_S = 2.0
_OPTIONS = (
    ("grpc.max_receive_message_length", TRANSPORT_BYTES),
    ("grpc.so_reuseport", 0),
    # A dead link is seen within 7 s, and one that is 2 s late each way is none; the silence watch is what pages show, this frees the stream.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.max_concurrent_streams", 16),
)


@dataclass(frozen=True, slots=True)
class IngestParts:
    """What the composition root hands in."""

    database: "Database"
    alarm_database: "Database"
    listen_url: str
    audit: "AuditLog"
    authority: "CertificateAuthority"
    gateways: "GatewayService"
    uplink_listen: tuple[str, int]
    enrolment_listen: tuple[str, int]
    host_names: Sequence[str]
    uplink_public: str  # empty: made from the first host name and the port
    live_path: Path
    folder: Path  # for the server's certificate, as uvicorn reads it from files
    local_pages: LocalPageTerms | None = None
    data_writers: int = 2
    server_valid: timedelta | None = None  # how long the certificate of the doors is; None: as the authority has it
    pace: GatewayPace = field(default_factory=GatewayPace)
    checkpoint: Callable[[str], Awaitable[None]] | None = None


class IngestServer:
    """Start it, read `uplink_port` and `enrolment_port`, stop it. `streams` are those that are up."""

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._watch = LinkWatch()
        self._arrivals = Arrivals(time.monotonic_ns())
        self._live = LivePublisher(parts.live_path, self._links_now)
        self._data = [
            Writer(parts.database, f"data-{i}", self._live.publish, parts.checkpoint, gather_s=_GATHER_S)
            for i in range(parts.data_writers)
        ]
        self._alarms = Writer(parts.alarm_database, "alarm", self._live.publish, parts.checkpoint, parts.audit)
        terms = parts.local_pages
        self.streams = streams = Streams(
            parts.database,
            parts.alarm_database,
            self._watch,
            lambda: self._live.has_subscribers,
            ticket_key=None if terms is None else terms.ticket_key,
        )
        self._downlink = Downlink(parts.database, parts.audit, streams, terms)
        self._sharing = Sharing(parts.database)
        self._throttled = Throttled(parts.database)
        self._paces = Paces(parts.pace, self._throttled.tell)
        self._tracer = Tracer(parts.database, streams, self._live.publish)
        self._door = UplinkDoor(
            parts.audit,
            self._data,
            self._alarms,
            streams,
            self._downlink,
            self._arrived,
            self._behind,
            self._sharing,
            self._paces,
            self._tracer,
        )
        self._renewal = RenewalDoor(parts.gateways, functools.partial(identify, parts.database))
        self._certificates = ServerCertificate(parts.authority, parts.host_names, parts.server_valid)
        self._releaser = Releaser(parts.database, time.time_ns, self._sharing)
        if parts.alarm_database.history is not parts.database.history:
            msg = "the pool for alarms has a history of its own: make it by Database.beside"
            raise ValueError(msg)
        parts.database.history.on_another(self._begin_anew)
        self._tasks: list[asyncio.Task[None]] = []
        self._grpc: grpc.aio.Server | None = None
        self._web: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self.uplink_port = 0
        self.enrolment_port = 0

    async def start(self) -> None:
        """Open the doors, the uplink last."""
        await self._sharing.read()
        await self._live.start()
        await self._throttled.clear()
        for writer in (*self._data, self._alarms):
            self._spawn(writer.run())
        self._spawn(watch_loop())
        self._spawn(self._look())
        handlers = {
            "placement": self._downlink.placement_changed,
            "gateway": self._downlink.gateway_changed,
            "alarm_event": self._downlink.alarms_changed,
            "admission": self._admission_changed,
            "looked_at": self._downlink.looked_at,
            "resend": self._downlink.resends.ask,
            "configuration": self._downlink.configurations.send,
            "device_command": self._downlink.device_commands.send,
            "update": self._downlink.updates.send,
            "quarantine": self._releaser.look,
            "sharing": self._sharing.read,
            "trace": self._tracer.look,
        }
        self._spawn(self._releaser.run())
        self._spawn(listen(self._parts.listen_url, handlers, self._parts.database.history))
        self._spawn(self._downlink.watch_gateways())
        self._spawn(self._downlink.updates.run())
        await self._open_uplink()
        await self._open_enrolment()

    async def stop(self) -> None:
        """Close the doors, let what is being stored end, stop the rest."""
        if self._web is not None:
            self._web.leave()
        self._downlink.stop()
        if self._grpc is not None:
            await self._grpc.stop(_GRACE_S)
        if self._serving is not None:
            await asyncio.wait((self._serving,), timeout=_GRACE_S)
        await end_all(self._tasks)
        await self._live.stop()

    async def wait(self) -> None:
        """Return when a task has ended, which none should; raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _open_uplink(self) -> None:
        host, port = self._parts.uplink_listen
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((method_handlers(self._door), renewal_handlers(self._renewal)))
        # It may give None, which types-grpcio does not know.
        newer = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._certificates.newer)
        credentials = grpc.dynamic_ssl_server_credentials(
            self._certificates.configuration, newer, require_client_authentication=True
        )
        self.uplink_port = server.add_secure_port(f"{host}:{port}", credentials)
        await server.start()
        self._grpc = server

    async def _open_enrolment(self) -> None:
        host, port = self._parts.enrolment_listen
        key_path, certificate_path = self._certificates.write(self._parts.folder)
        name = self._parts.host_names[0] if self._parts.host_names else "127.0.0.1"
        uplink = self._parts.uplink_public or f"{name}:{self.uplink_port}"
        config = uvicorn.Config(
            create_app(self._parts.gateways, self._parts.authority, uplink),
            host=host,
            port=port,
            ssl_keyfile=key_path,
            ssl_certfile=certificate_path,
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=32,
            h11_max_incomplete_event_size=16 * 1024,
            timeout_keep_alive=2,
        )
        config.load()
        if isinstance(config.ssl, ssl.SSLContext):
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
            self._spawn(self._certificates.keep(self._parts.folder, config.ssl))
        self._web = QuietServer(config)
        self._serving = await self._web.begin()
        self._tasks.append(self._serving)
        self.enrolment_port = self._web.port

    async def _admission_changed(self, device_id: int | None) -> None:
        await self._downlink.admission_changed(device_id)
        await self._releaser.look()

    def _begin_anew(self) -> None:
        """Ids that were learnt may be another's by now: all of them are learnt again."""
        self.streams.begin_anew()
        for writer in (*self._data, self._alarms):
            writer.begin_anew()
        self._paces.begin_anew()
        self._throttled.begin_anew()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._tell(self._watch.look(time.monotonic_ns()))
            self._tell_backlogs(self._watch.settled())

    def _arrived(self, pending: Pending, batch: "Batch") -> int | None:
        came = self._arrivals.took(pending.gateway_key, pending.epoch, pending.lane, batch.n, batch.closed_ns)
        if came.is_live:
            self._tell(self._watch.arrived(pending.gateway_key, pending.rows.newest, time.monotonic_ns()))
        return came.clock

    def _behind(self, gateway_key: tuple[int, str], waits: bool) -> None:
        self._tell_backlogs(self._watch.backlog(gateway_key, waits=waits))

    def _tell_backlogs(self, changes: list[BacklogChange]) -> None:
        for change in changes:
            self._live.publish(backlog_message(change.tenant_id, change.gateway, waits=change.waits))

    def _tell(self, changes: list[LinkChange]) -> None:
        for change in changes:
            structlog.get_logger().info("link", gateway=change.gateway, device=change.device, state=str(change.state))
            self._live.publish(_message(change))

    def _links_now(self) -> list[LiveMessage]:
        backlogs = [backlog_message(b.tenant_id, b.gateway, waits=b.waits) for b in self._watch.backlogs()]
        return [*(_message(change) for change in self._watch.present()), *backlogs]


def _message(change: LinkChange) -> LiveMessage:
    since_ms = (time.time_ns() - (time.monotonic_ns() - change.since_ns)) // 1_000_000
    return link_message(change.tenant_id, change.gateway, change.device, str(change.state), since_ms)
