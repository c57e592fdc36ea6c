"""The composition root of the way up: outbox in, the uplink of a gateway out, in one process beside the hub's roles.

A hub is a gateway of the hub above it: spool, uplink, losses and certificate are those of the agent. What the hub above would tell a
gateway (placement, settings, acknowledgements) it does not tell a hub.
"""

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from edge.alone import alone
from edge.ending import end_overdue
from edge.health.reporter import QUIET_S
from edge.health.status import Status
from edge.identity import IdentityError, fall_back, load_identity
from edge.identity.renewal import Renewal
from edge.identity.store import utc_now
from edge.pipeline.batcher import Batcher
from edge.spool import KeySource, Limits, Spool, WriterEndedError
from edge.spool.succession import finish_succession, succeed
from edge.supervisor import Supervisor
from edge.uplink import ClientPapers, Route, Uplink
from edge.uplink.client import EpochConflictError
from edge.uplink.downlink import Downlink
from edge.uplink.losses import Losses
from edge.uplink.renew import ask_to_renew
from hub.app import required
from hub.core.db import Database
from hub.core.errors import InvalidError
from hub.upstream.outbox import Outbox
from protocols.link import RESEND, CannotResend, Connection, Lane, LinkSender
from wardlink.upstream.forwarder import Forwarder
from wardlink.upstream.passed import Passed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from uuid import UUID

    from hub.settings import HubSettings
    from protocols.uplink_pb2 import Settings

FOLDER: Final = "upstream"
_MIB: Final = 1 << 20

_log = structlog.get_logger()


def folder_of(settings: "HubSettings") -> Path:
    """Where certificate and spool of the way up are."""
    return settings.state_dir / FOLDER


async def run_upstream(settings: "HubSettings") -> None:
    """Run until SIGTERM or SIGINT, or until standard input ends when the starter said so; IdentityError, InvalidError, InUseError, SpoolKeyError, WriterEndedError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if os.environ.get("HUB_STARTER") == "pipe":
        loop.add_reader(sys.stdin.fileno(), stop.set)
    folder = folder_of(settings)
    if not folder.exists():
        raise InvalidError(
            "This hub is not enrolled at a hub above it.",
            "There: `wardlink hub gateway add NAME --forwards`. Here: `wardlink upstream enrol TOKEN`.",
            reason="upstream",
        )
    limits = Limits(total_bytes=settings.upstream_spool_mib * _MIB)
    url = required(settings.worker_url, "worker_url")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")  # of systemd, for this service alone
    keys = KeySource(folder / "spool.key", None if not credentials else Path(credentials) / "spool.key")
    with alone(folder):
        async with Database(url, "wardlink upstream", max_size=3) as database:
            await finish_succession(folder / "spool", time.time_ns, limits, keys)
            while not await _Life(folder, limits, keys, Outbox(database)).run(stop):
                batches = await succeed(folder / "spool", time.time_ns, limits, keys)
                _log.warning("spool-begun-anew", batches_carried_over=batches)


@dataclass(frozen=True, slots=True)
class _Life:
    """One spool's life."""

    folder: Path
    limits: Limits
    keys: KeySource
    outbox: Outbox

    async def run(self, stop: asyncio.Event) -> bool:
        """Until `stop`; False when the spool has to be begun anew."""
        identity = load_identity(self.folder)
        spool = await Spool.open(self.folder / "spool", time.time_ns, self.limits, self.keys)
        passed = Passed(self.folder / "passed.sqlite3")
        try:
            link = LinkSender(
                identity.tenant, identity.gateway, spool.epoch, agent_version=version("wardlink"), features=(RESEND,)
            )
            for lane in Lane:
                link.spool_opened(lane, spool.held(lane), spool.newest(lane))

            async def lost(event: CannotResend) -> None:
                await losses.report(event)

            uplink = Uplink(link, spool, self._route, Downlink(_placed, lost, _acknowledged, _settings))
            renewal = Renewal(
                self.folder, lambda present, csr: ask_to_renew([present.uplink], present, csr), uplink.move
            )
            batcher = Batcher(spool, link, uplink.wake)
            losses = Losses(spool, link, batcher.record, uplink.wake)
            spool.on_dropped = losses.dropped
            forwarder = Forwarder(self.outbox, spool, link, uplink.wake, passed)
            status = Status(
                identity.gateway, version("wardlink"), time.time_ns(), identity.not_after_ns(),
                spool_max_bytes=self.limits.total_bytes, spool_key=spool.key_kept_in,
            )  # fmt: skip
            tasks: dict[str, Callable[[], Awaitable[None]]] = {
                "uplink-alarm": lambda: uplink.run(Connection.ALARM),
                "uplink-data": lambda: uplink.run(Connection.DATA),
                "certificate": renewal.run,
                "losses": losses.run,
                "forward-alarms": lambda: forwarder.run(alarms=True),
                "forward-data": lambda: forwarder.run(alarms=False),
                "spool-watch": spool.watch,
                "status": lambda: _tell(status, spool, link, uplink, batcher),
            }
            async with Supervisor(fatal=(EpochConflictError, WriterEndedError)) as services:
                for name, run in tasks.items():
                    services.start(name, run)
                _log.info("ready", role="upstream", gateway=identity.gateway, tenant=identity.tenant)
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait((stopping, services.failed), return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                conflict = services.failed.result() if services.failed.done() else None
                if isinstance(conflict, WriterEndedError):
                    end_overdue(asyncio.get_running_loop())
                    raise conflict
            await batcher.close_all()
            return conflict is None
        finally:
            await spool.close()
            passed.close()

    def _route(self) -> Route:
        return Route(lambda: [load_identity(self.folder).uplink], self._papers, lambda: fall_back(self.folder))

    def _papers(self) -> ClientPapers:
        """Those of this moment."""
        identity = load_identity(self.folder)
        identity.check(utc_now())
        return ClientPapers(identity.key_pem, identity.certificate_pem, identity.ca_pem)


async def _tell(status: Status, spool: Spool, link: LinkSender, uplink: Uplink, batcher: Batcher) -> None:
    """Tell the hub above how the way up is, so often that it is not taken for away."""
    while True:
        status.spool_bytes = spool.allocated_bytes()
        status.waiting = {lane.name.lower(): link.waiting(lane) for lane in Lane}
        status.hub_ahead_ns = uplink.hub_ahead_ns
        batcher.add([status.event(time.time_ns())])
        await asyncio.sleep(QUIET_S)


async def _placed(*_: object) -> None:
    """A hub watches no limits, and is sent no placement."""


def _acknowledged(alarms: "Collection[UUID]") -> None:
    _log.info("acknowledged-above", alarms=len(alarms))


async def _settings(settings: "Settings") -> None:
    _log.info("settings-of-the-hub-above-ignored", version=settings.version)


__all__ = ["IdentityError", "folder_of", "run_upstream"]
