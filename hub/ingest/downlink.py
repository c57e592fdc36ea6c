"""What the hub tells gateways: placement, settings, configuration, updates, acknowledged alarms, and that they may not come any more. Called when the database notifies."""

import asyncio
import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import structlog

from hub.core.errors import UnavailableError
from hub.core.sql import load_queries
from hub.ingest.acknowledged import acknowledged_alarms, messages
from hub.ingest.configurations import Configurations
from hub.ingest.device_commands import GatewayCommands
from hub.ingest.identity import fallen_from, unknown
from hub.ingest.placement import placement_applied, placement_of
from hub.ingest.resend import Resends
from hub.ingest.updates import Updates
from hub.updates.turns import Turns
from protocols.link import PAGE_ORIGIN, TICKET_KEY, Connection
from protocols.uplink_pb2 import HubMessage, LookedAt, Setting, Settings

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.ingest.identity import GatewayIdentity
    from hub.ingest.streams import Stream, Streams
    from protocols.uplink_pb2 import GatewayMessage

_QUERIES = load_queries("hub.ingest")
# Twice, and both together below the 10 s within which who is revoked is cut off.
LOOK_EVERY_S, LOOK_WITHIN_S = 2.0, 2.5
LOOKED_AT_S = 60.0  # from the last look


@dataclass(frozen=True, slots=True)
class LocalPageTerms:
    """Whom the local pages of gateways let in: pages of `origin`, and people with a ticket signed by `ticket_key`'s other half."""

    origin: str
    ticket_key: bytes


class Downlink:
    """For the streams of this process."""

    def __init__(
        self, database: "Database", audit: "AuditLog", streams: "Streams", terms: LocalPageTerms | None = None
    ) -> None:
        """`terms`: None: no gateway lets anybody in."""
        self._database, self._streams, self._terms = database, streams, terms
        self.resends = Resends(database, streams)
        self._looked_at: dict[
            int, float
        ] = {}  # gateway to the time until which its past is looked at, on the steady clock
        self.configurations = Configurations(database, streams)
        self.device_commands = GatewayCommands(database, audit, streams)
        self.updates = Updates(Turns(database, audit), streams)

    async def greet(self, stream: "Stream") -> None:
        """Put behind the hello what a gateway that was away has missed."""
        identity = stream.link.identity
        if identity.forwards:
            if stream.connection is Connection.DATA:
                await self.resends.ask(identity.gateway_id)
            return
        if stream.connection is Connection.DATA:
            stream.send(await self._placement(identity))
            stream.send(HubMessage(settings=self._settings()))
            if identity.gateway_id in self._looked_at:
                stream.send(_looked_at(yes=True))
            await self.resends.ask(identity.gateway_id)
            await self.configurations.send(identity.gateway_id)
            await self.device_commands.send(identity.gateway_id)
            await self.updates.send(identity.gateway_id)
        else:
            await self.alarms_changed(identity.tenant_id)

    async def heard(self, stream: "Stream", message: "GatewayMessage") -> None:
        """Take what a gateway answers; a message of a later version, which this one need not understand, is none."""
        match message.WhichOneof("message"):
            case "placement_applied":
                await placement_applied(self._database, stream.link.identity, message.placement_applied)
            case "resendable":
                await self.resends.answered(stream, message.resendable)
            case "configuration_answer":
                await self.configurations.answered(stream, message.configuration_answer)
            case "commands_offered":
                await self.device_commands.offered(stream, message.commands_offered)
            case "device_command_answer":
                await self.device_commands.answered(stream, message.device_command_answer)
            case "update_request":
                await self.updates.requested(stream, message.update_request)
            case "update_answer":
                await self.updates.answered(stream, message.update_answer)
            case _:
                pass

    async def placement_changed(self, tenant_id: int | None) -> None:
        """Send the placement anew to every gateway of the tenant (of all tenants, when None) that is connected."""
        for stream in self._streams.greeted(Connection.DATA, tenant_id):
            stream.send(await self._placement(stream.link.identity))

    async def alarms_changed(self, tenant_id: int | None) -> None:
        """Tell the gateways of the tenant (of all tenants, when None) which of their alarms somebody has acknowledged."""
        streams = self._streams.greeted(Connection.ALARM, tenant_id)
        if not streams:
            return
        acknowledged = await acknowledged_alarms(self._streams.database_of(Connection.ALARM), tenant_id)
        for stream in streams:
            ids = acknowledged.get(stream.link.identity.gateway_id, [])
            for message in messages(one for one in ids if one not in stream.alarms_told):
                stream.send(message)
            stream.alarms_told = set(ids)

    async def admission_changed(self, _: int | None) -> None:
        """Somebody has admitted or retired a device: ask anew which may send."""
        for link in self._streams.links():
            link.forget_admissions()

    async def gateway_changed(self, gateway_id: int | None = None) -> None:
        """Cut off the streams whose gateway or certificate was revoked or has expired (look at all gateways, when None)."""
        streams = [one for one in self._streams if gateway_id in {None, one.link.identity.gateway_id}]
        if not streams:
            return
        values = {"fingerprints": list({stream.fingerprint for stream in streams})}
        async with self._database.connection() as connection:
            rows = await (await connection.execute(_QUERIES["standing"], values)).fetchall()
        standing = {bytes(row[0]): row[1:] for row in rows}
        for stream in streams:
            identity, row = stream.link.identity, standing.get(stream.fingerprint)
            if row is None:
                stream.end(unknown(identity.gateway, identity.tenant))
                continue
            fallen = fallen_from(identity.gateway, gateway_revoked=row[0], certificate_revoked=row[1], expired=row[2])
            if fallen is not None:
                stream.end(fallen)

    async def looked_at(self, gateway_id: int | None) -> None:
        """Somebody looks at the past of a bed of this gateway: what it still has to send of it goes newest first for a while."""
        if gateway_id is None:
            return
        if gateway_id not in self._looked_at:
            self._tell_looked_at(gateway_id, yes=True)
        self._looked_at[gateway_id] = time.monotonic() + LOOKED_AT_S

    def _tell_looked_at(self, gateway_id: int, *, yes: bool) -> None:
        for stream in self._streams.greeted(Connection.DATA, None):
            if stream.link.identity.gateway_id == gateway_id:
                stream.send(_looked_at(yes=yes))

    def _look_away(self) -> None:
        for gateway_id in [one for one, until_s in self._looked_at.items() if until_s < time.monotonic()]:
            del self._looked_at[gateway_id]
            self._tell_looked_at(gateway_id, yes=False)

    async def watch_gateways(self) -> None:
        """Look every LOOK_EVERY_S whether somebody was revoked: a notification may not have come."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._look_away()
            try:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    await self._database.look()
                    await self.gateway_changed()
                    await self.device_commands.look()
            except (psycopg.Error, OSError) as error:
                structlog.get_logger().warning("gateways-not-looked-at", error=type(error).__name__)

    def stop(self) -> None:
        """End every stream: the hub is stopping."""
        for stream in self._streams:
            stream.end(UnavailableError("The hub is stopping.", "Connect again.", reason="stopping"))

    def _settings(self) -> Settings:
        """The same for every gateway, and as long as this process runs."""
        terms = self._terms
        values = (
            {}
            if terms is None
            else {PAGE_ORIGIN: terms.origin, TICKET_KEY: base64.b64encode(terms.ticket_key).decode()}
        )
        return Settings(version=1, settings=[Setting(key=key, value=value) for key, value in values.items()])

    async def _placement(self, identity: "GatewayIdentity") -> HubMessage:
        return HubMessage(placement=await placement_of(self._database, identity.tenant_id, identity.gateway_id))


def _looked_at(*, yes: bool) -> HubMessage:
    return HubMessage(looked_at=LookedAt(looked_at=yes))
