"""The hub's composition root: settings in, the roles ingest, web and worker out. Nothing else reads settings or opens a connection.

Each role is a process; `run_all` starts several and ends them together. A role says on standard output when it is ready.
"""

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar, cast
from urllib.parse import urlsplit

import structlog
from prometheus_client import start_http_server

from hub.accounts.domain import SecondFactor
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.ending import end_all
from hub.core.errors import InvalidError
from hub.core.principal import ANONYMOUS
from hub.settings import HubSettings, is_loopback, split_address
from models.log_stream import LogStream

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from pydantic import SecretStr

    from hub.accounts.passwords import Passwords
    from hub.accounts.second import Codes
    from hub.accounts.service import Accounts
    from hub.clocks.service import Clocks
    from hub.core.live_copies import Place
    from hub.device_commands.service import DeviceCommands
    from hub.devices.service import Devices
    from hub.gateways.service import GatewayService
    from hub.placement.service import Placement
    from hub.store.retention import Retention
    from hub.traces.service import Traces
    from hub.updates.service import Updates
    from hub.upstream.service import SharingRules
    from hub.worker import AuditVerification

# Read when gRPC is loaded, so it is set before that. An ECDSA certificate cannot be used with RSA ciphers, so that TLS 1.2, whose
# ciphers these are, always fails: only TLS 1.3 is left, whose ciphers this does not touch (gRPC has no setting for versions).
TLS13_ONLY = {"GRPC_SSL_CIPHER_SUITES": "ECDHE-RSA-AES256-GCM-SHA384"}

# Read when pypinyin is loaded. Names are searched for character by character: its dictionary of phrases would take 45 MB more.
PINYIN_OF_CHARACTERS = {"PYPINYIN_NO_PHRASES": "true", "PYPINYIN_NO_DICT_COPY": "true"}

ServiceT = TypeVar("ServiceT")

DOORS = "doors.json"
UPSTREAM = "upstream"  # what runs beside the roles where this hub is a gateway of another
_STOP_S = 10.0
_AGAIN_S = 1.0


class HubRole(StrEnum):
    """The three processes of a hub."""

    INGEST = "ingest"
    WEB = "web"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Services:
    """What the web application is built of; its features make their own services from it."""

    database: Database
    audit: AuditLog
    passwords: "Passwords"
    codes: "Codes"
    live_path: Path
    ticket_key: "Ed25519PrivateKey | None" = (
        None  # signs tickets to the local pages of gateways; None: none is given out
    )


def instance() -> str:
    """Tell replicas apart in the audit. A restart goes on with its own chain."""
    return os.environ.get("HOSTNAME", "1")


def set_up_logging() -> None:
    """JSON lines on standard output."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", LogStream(lambda: sys.stdout))),
    )


def required(value: "SecretStr | None", name: str) -> str:
    """Return a database address; InvalidError names the setting that is missing."""
    if value is None:
        raise InvalidError(
            f"The setting {name} is missing.",
            f"Set HUB_{name.upper()}, or run `wardlink stack up`, which makes a database with its roles.",
            reason="setting",
        )
    return value.get_secret_value()


@asynccontextmanager
async def gateway_service(settings: HubSettings, url: str) -> AsyncGenerator["GatewayService"]:
    """Open what the commands about gateways need, with the rights of `url`."""
    from hub.gateways.ca import load_or_make
    from hub.gateways.service import GatewayService

    async with Database(url, "wardlink command", max_size=2) as database:
        audit = AuditLog(database, instance())
        yield GatewayService(database, audit, load_or_make(settings.state_dir), enrolment_url(settings))


@asynccontextmanager
async def _named(
    url: str, tenant: str, make: Callable[[Database, AuditLog], ServiceT]
) -> AsyncGenerator[tuple[ServiceT, int]]:
    """Open a service for a command, with the rights of `url`; and which tenant was named. NotFoundError for one that is not there."""
    from hub.gateways.service import tenant_id_of

    async with Database(url, "wardlink command", max_size=2) as database:
        yield make(database, AuditLog(database, instance())), await tenant_id_of(database, tenant)


def device_ledger(settings: HubSettings, tenant: str) -> contextlib.AbstractAsyncContextManager[tuple["Devices", int]]:
    """Open what the commands about devices need, with the rights of the role web; and which tenant was named."""
    from hub.devices.service import Devices

    return _named(required(settings.web_url, "web_url"), tenant, Devices)


def device_commands(
    settings: HubSettings, tenant: str
) -> contextlib.AbstractAsyncContextManager[tuple["DeviceCommands", int]]:
    """Open what the commands to devices need, with the rights of the role web; and which tenant was named."""
    from hub.device_commands.service import DeviceCommands

    return _named(required(settings.web_url, "web_url"), tenant, DeviceCommands)


def sharing_rules(
    settings: HubSettings, tenant: str
) -> contextlib.AbstractAsyncContextManager[tuple["SharingRules", int]]:
    """Open what the commands about sharing need, with the rights of the role web; and which tenant was named."""
    from hub.upstream.service import SharingRules

    return _named(required(settings.web_url, "web_url"), tenant, SharingRules)


def updates(settings: HubSettings, tenant: str) -> contextlib.AbstractAsyncContextManager[tuple["Updates", int]]:
    """Open what the commands about updates need, with the rights of the role web; and which tenant was named."""
    from hub.updates.service import Updates

    return _named(required(settings.web_url, "web_url"), tenant, Updates)


def tracing(settings: HubSettings, tenant: str) -> contextlib.AbstractAsyncContextManager[tuple["Traces", int]]:
    """Open what the command trace needs, with the rights of the role web; and which tenant was named."""
    from hub.traces.service import Traces

    return _named(required(settings.web_url, "web_url"), tenant, Traces)


async def open_sealed(settings: HubSettings, segment_id: int) -> None:
    """Put the sealed samples of a clock segment back among the hot ones, with the rights of the role worker."""
    from hub.store.sealing import open_segment

    async with (
        Database(required(settings.worker_url, "worker_url"), "wardlink command", max_size=2) as database,
        database.transaction() as connection,
    ):
        await open_segment(connection, segment_id)


def device_clocks(settings: HubSettings, tenant: str) -> contextlib.AbstractAsyncContextManager[tuple["Clocks", int]]:
    """Open what the commands about clocks need, with the rights of the role web; and which tenant was named."""
    from hub.clocks.service import Clocks

    return _named(required(settings.web_url, "web_url"), tenant, Clocks)


@asynccontextmanager
async def audit_verification(settings: HubSettings) -> AsyncGenerator["AuditVerification"]:
    """Open what the command about the audit needs, with the rights of the role worker."""
    from hub.worker import AuditVerification

    async with Database(required(settings.worker_url, "worker_url"), "wardlink command", max_size=2) as database:
        yield AuditVerification(database, AuditLog(database, instance()))


def retention(settings: HubSettings, tenant: str) -> contextlib.AbstractAsyncContextManager[tuple["Retention", int]]:
    """Open what the commands about retention need, with the rights of the role worker; and which tenant was named."""
    from hub.store.retention import Retention

    return _named(required(settings.worker_url, "worker_url"), tenant, Retention)


@dataclass(frozen=True, slots=True)
class People:
    """The services that the commands about people and beds need, and the tenant that was named."""

    accounts: "Accounts"
    placement: "Placement"
    tenant_id: int


@asynccontextmanager
async def people(settings: HubSettings, tenant: str) -> AsyncGenerator[People]:
    """Open them with the rights of the role web; NotFoundError for a tenant that is not there."""
    from hub.accounts.service import Accounts
    from hub.gateways.service import tenant_id_of
    from hub.placement.service import Placement

    async with Database(required(settings.web_url, "web_url"), "wardlink command", max_size=2) as database:
        audit = AuditLog(database, instance())
        accounts = Accounts(database, audit)
        yield People(accounts, Placement(database, audit, accounts), await tenant_id_of(database, tenant))


def enrolment_url(settings: HubSettings, port: int | None = None) -> str:
    """Where gateways reach the enrolment door."""
    host, listened = split_address(settings.enrolment_listen)
    doors = settings.state_dir / DOORS
    if not (port or listened) and doors.exists():
        port = json.loads(doors.read_text())["enrolment"]
    name = settings.host_names[0] if settings.host_names else host
    return settings.enrolment_public or f"https://{name}:{port or listened}"


async def run_role(role: HubRole, settings: HubSettings) -> None:
    """Run one role until SIGTERM or SIGINT, or until standard input ends when the starter said so."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if os.environ.get("HUB_STARTER") == "pipe":
        loop.add_reader(sys.stdin.fileno(), stop.set)
    if settings.metrics_listen:
        host, port = split_address(settings.metrics_listen)
        # The roles are processes of one machine with one file of settings: each has a port of its own.
        start_http_server(port + list(HubRole).index(role), addr=host)
    runners: dict[HubRole, Callable[[HubSettings], contextlib.AbstractAsyncContextManager[Awaitable[None]]]] = {
        HubRole.INGEST: _ingest,
        HubRole.WEB: _web,
        HubRole.WORKER: _worker,
    }
    async with runners[role](settings) as work:
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
        else:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working


@asynccontextmanager
async def _ingest(settings: HubSettings) -> AsyncGenerator[Awaitable[None]]:
    os.environ.update(TLS13_ONLY)
    from hub.core.live_copies import claim

    with claim(settings.live_path) as place:
        async with _ingest_at(place, settings) as work:
            yield work


@asynccontextmanager
async def _ingest_at(place: "Place", settings: HubSettings) -> AsyncGenerator[Awaitable[None]]:
    from hub.core.state import write_file
    from hub.gateways.ca import load_or_make
    from hub.gateways.service import GatewayService
    from hub.ingest.downlink import LocalPageTerms
    from hub.ingest.handshakes import HandshakeLog
    from hub.ingest.pacing import GatewayPace
    from hub.ingest.server import IngestParts, IngestServer
    from hub.local_pages.keys import load_or_make_key
    from hub.operations.recorder import Recorder

    url = required(settings.ingest_url, "ingest_url")
    authority = load_or_make(settings.state_dir)
    async with (
        Database(url, "wardlink ingest", max_size=settings.data_writers + 3) as database,
        # Its writer, who asks for it, and who comes.
        database.beside("wardlink ingest alarms", max_size=4) as alarm_database,
    ):
        audit = AuditLog(database, instance())
        server = IngestServer(
            IngestParts(
                database=database,
                alarm_database=alarm_database,
                listen_url=url,
                audit=audit,
                authority=authority,
                gateways=GatewayService(
                    database, audit, authority, enrolment_url(settings), timedelta(days=settings.certificate_days)
                ),
                uplink_listen=split_address(settings.uplink_listen),
                enrolment_listen=split_address(settings.enrolment_listen),
                host_names=settings.host_names,
                uplink_public=settings.uplink_public,
                live_path=place.path,
                local_pages=LocalPageTerms(
                    settings.page_origin, load_or_make_key(settings.state_dir).public_key().public_bytes_raw()
                ),
                # Its certificate's files are a copy's own: two that start at once would mix their keys.
                folder=settings.state_dir / f"ingest-{place.number}",
                data_writers=settings.data_writers,
                pace=GatewayPace(
                    settings.gateway_records_per_s, settings.gateway_kib_per_s * 1024, settings.gateway_alarms_per_s
                ),
            )
        )
        recorder = Recorder(database, HubRole.INGEST, _process(), {"records": "hub_ingest_records_total"})
        handshakes = HandshakeLog(functools.partial(_handshake_refused, audit))
        handshakes.start()
        await server.start()
        if place.number == 0:
            # With port 0 the commands find out here which ports it became; a copy that starts meanwhile reads it too.
            ports = json.dumps({"uplink": server.uplink_port, "enrolment": server.enrolment_port})
            write_file(settings.state_dir / DOORS, ports.encode(), 0o644)
        _ready(HubRole.INGEST, uplink_port=server.uplink_port, enrolment_port=server.enrolment_port)
        recording = asyncio.create_task(recorder.run())
        try:
            yield server.wait()
        finally:
            await end_all([recording])
            await server.stop()
            await handshakes.stop()


async def _handshake_refused(audit: AuditLog, reason: str, count: int) -> None:
    details = {"reason": reason, "count": count}
    await audit.record(ANONYMOUS, "uplink.connect", "-", details, outcome="denied")


def _refuse_one_factor_for_others(settings: HubSettings) -> None:
    """Pages that other machines reach ask everybody for a second factor; InvalidError."""
    listens, _ = split_address(settings.web_listen)
    public = urlsplit(settings.page_origin).hostname or ""
    if settings.second_factor is SecondFactor.OFFERED and not (is_loopback(listens) and is_loopback(public)):
        raise InvalidError(
            f"HUB_SECOND_FACTOR is `offered`, and the pages listen at {settings.web_listen} for {settings.page_origin}.",
            "Leave it out, so that everybody sets up a second factor, or let the pages listen on this machine alone (127.0.0.1).",
            reason="setting",
        )


@asynccontextmanager
async def _web(settings: HubSettings) -> AsyncGenerator[Awaitable[None]]:
    os.environ.update(PINYIN_OF_CHARACTERS)
    from hub.accounts.passwords import Passwords
    from hub.accounts.second import load_codes
    from hub.core.loop import watch_loop
    from hub.local_pages.keys import load_or_make_key
    from hub.operations.recorder import Recorder
    from hub.web.app import create_app
    from hub.web.server import WebServer

    host, port = split_address(settings.web_listen)
    _refuse_one_factor_for_others(settings)
    async with Database(required(settings.web_url, "web_url"), "wardlink web", max_size=10) as database:
        key = load_or_make_key(settings.state_dir)
        codes = load_codes(settings.state_dir)
        services = Services(database, AuditLog(database, instance()), Passwords(), codes, settings.live_path, key)
        server = WebServer(create_app(services, settings), host, port, settings.trusted_proxies)
        serving = await server.begin()
        lag = asyncio.create_task(watch_loop())
        recorder = Recorder(database, HubRole.WEB, _process(), {"rows": "hub_query_rows_total"})
        recording = asyncio.create_task(recorder.run())
        _ready(HubRole.WEB, web_port=server.port)
        try:
            yield serving
        finally:
            await end_all([recording])
            lag.cancel()
            server.leave()
            await asyncio.wait((serving,), timeout=_STOP_S)


@asynccontextmanager
async def _worker(settings: HubSettings) -> AsyncGenerator[Awaitable[None]]:
    from hub.core.loop import watch_loop
    from hub.operations.availability import Availability
    from hub.operations.recorder import Recorder
    from hub.operations.storage import Storage
    from hub.worker import build_jobs, work_off

    url = required(settings.worker_url, "worker_url")
    async with Database(url, "wardlink worker", max_size=5) as database:
        jobs = build_jobs(url, database, AuditLog(database, instance()))
        async with jobs.open_async():
            lag = asyncio.create_task(watch_loop())
            storage, availability = Storage(database), Availability(database)

            async def figures() -> "Mapping[str, float]":
                await availability.tell()
                return await storage.figures()

            recording = asyncio.create_task(Recorder(database, HubRole.WORKER, _process(), figures=figures).run())
            _ready(HubRole.WORKER)
            try:
                yield work_off(jobs, _STOP_S)
            finally:
                await end_all([recording])
                lag.cancel()


def _process() -> str:
    """This process among all that write what they measured: a restart is another one."""
    return f"{instance()}-{os.getpid()}"


def run_all(roles: Sequence[str], arguments: Sequence[str]) -> int:
    """Run roles, and what `UPSTREAM` names, as processes of their own until SIGTERM or SIGINT; one that ends by itself is started again.

    `arguments` go to each. They end with this process whatever becomes of it: their standard input is a pipe from it.
    """
    stopping: list[int] = []

    def stop(number: int, _: object) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    running = {role: _start(role, arguments) for role in roles}
    while not stopping:
        for role, process in running.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_AGAIN_S / len(running))
                if not stopping:
                    structlog.get_logger().error(
                        "role-ended", role=role, code=code, what_to_do="see its last lines; it is started again"
                    )
                    running[role] = _start(role, arguments)
    for process in running.values():
        process.terminate()
    for process in running.values():
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return 0


def environment_of(role: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that is for one role: of the database addresses its own alone.

    `DATABASE_URL` is that of `wardlink stack`, with the rights of a superuser.
    """
    own = HubRole.WORKER if role == UPSTREAM else role
    others = ("OWNER", *(str(other).upper() for other in HubRole if other != own))
    addresses = {"DATABASE_URL", *(f"HUB_{name}_URL" for name in others)}
    # Names of settings count in any case (pydantic-settings).
    return {name: value for name, value in environment.items() if name.upper() not in addresses}


def _start(role: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    module = ["wardlink.upstream", "run"] if role == UPSTREAM else ["hub", "run", "--role", role]
    command = [sys.executable, "-m", *module, *arguments]
    environment = {**environment_of(role, os.environ), "HUB_STARTER": "pipe"}
    # A session of its own: Ctrl-C reaches this process, which then ends them in order.
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)


def _ready(role: HubRole, **ports: int) -> None:
    structlog.get_logger().info("ready", role=str(role), **ports)
    sys.stdout.flush()
