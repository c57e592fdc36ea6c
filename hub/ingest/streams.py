"""The streams that are up and what they share, and what each has to send; `door` reads them, `downlink` tells them news."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from hub.core.errors import DomainError, UnavailableError
from hub.core.sql import load_queries
from hub.ingest.acknowledged import Tickets
from hub.ingest.catalog import GatewayCatalog
from hub.ingest.identity import GatewayIdentity
from hub.ingest.rows import RowMaker
from hub.ingest.writer import position_of
from protocols.link import Connection, Lane, LinkReceiver, Position
from protocols.uplink_pb2 import ClockAnswer, HubMessage, NewestBatch, Rejected, UpdateChunk

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.links import LinkWatch

_QUERIES = load_queries("hub.ingest")
MAX_WAITING = 64  # batches of one stream that are not settled

_STREAMS = Gauge("hub_ingest_streams", "Streams of gateways that are up", ["connection"])


@dataclass(slots=True)
class Link:
    """What the streams of one gateway and epoch share."""

    identity: GatewayIdentity
    epoch: bytes
    receiver: LinkReceiver
    maker: RowMaker
    alarm_maker: RowMaker  # asks on connections of its own: alarms never stand behind data
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    writing: int = 0  # batches that a writer has; the link is kept until they are settled

    def maker_of(self, lane: Lane) -> RowMaker:
        """What makes the rows of a lane."""
        return self.alarm_maker if lane is Lane.ALARM else self.maker

    def forget_admissions(self) -> None:
        """Somebody has admitted or retired a device."""
        for maker in (self.maker, self.alarm_maker):
            maker.catalog.forget_admissions()


@dataclass(slots=True, eq=False)
class Stream:
    """One stream: what is to be sent, and why it is to end."""

    link: Link
    connection: Connection
    fingerprint: bytes = b""  # of the certificate with which it was opened
    features: frozenset[str] = frozenset()  # of the gateway's Hello
    ledger: bytes = b""  # of the agent's commands to devices; empty until it has said what it offers
    agent_version: str = ""  # as it says itself
    outbox: list[HubMessage] = field(default_factory=list[HubMessage])
    to_ack: dict[Lane, list[Rejected]] = field(default_factory=dict[Lane, list[Rejected]])
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_WAITING))
    alarms_told: set[bytes] = field(default_factory=set[bytes])
    clock_answer: ClockAnswer | None = None  # to the newest probe alone: one that asks without reading fills nothing
    update_chunk: UpdateChunk | None = None  # the same
    greeted: bool = False  # nothing may come before the hello
    ending: DomainError | None = None
    finished: bool = False

    def end(self, error: DomainError) -> None:
        """End the stream with this reason."""
        self.ending = self.ending or error
        self.wake.set()

    def send(self, message: HubMessage) -> None:
        """Put a message behind what waits; one that ends hears nothing more: what it is to hear may be another's by now."""
        if self.ending is None:
            self.outbox.append(message)
            self.wake.set()


class Streams:
    """Every stream of this process. `is_watched`: whether anybody looks at live data."""

    def __init__(
        self,
        database: "Database",
        alarm_database: "Database",
        watch: "LinkWatch",
        is_watched: Callable[[], bool],
        now_ns: Callable[[], int] = time.time_ns,
        ticket_key: bytes | None = None,
    ) -> None:
        """`alarm_database`: where what alarms need is asked. `ticket_key`: the public half of what signs tickets to local pages."""
        self._ticket_key = ticket_key
        self._database, self._alarm_database = database, alarm_database
        self._watch, self._is_watched, self._now_ns = watch, is_watched, now_ns
        self._links: dict[tuple[int, bytes], Link] = {}
        self._streams: set[Stream] = set()

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams))

    def links(self) -> Iterator[Link]:
        """The links of the streams that are up, and of those whose batches are still being written."""
        return iter(tuple(self._links.values()))

    def greeted(self, connection: Connection, tenant_id: int | None, *, hubs: bool = False) -> list[Stream]:
        """The streams of a tenant (of all tenants, when None) that may be told something; `hubs`: those of hubs too, which decide for themselves."""
        return [
            stream
            for stream in self._streams
            if stream.greeted
            and stream.ending is None
            and stream.connection is connection
            and tenant_id in {None, stream.link.identity.tenant_id}
            and (hubs or not stream.link.identity.forwards)
        ]

    def database_of(self, connection: Connection) -> "Database":
        """Where what a connection needs is asked."""
        return self._alarm_database if connection is Connection.ALARM else self._database

    def asked_for(self, gateway_id: int | None, feature: str, *, hubs: bool = False) -> dict[int, Stream]:
        """The data streams of a gateway (of all, when None) that name a feature, by the gateway; `hubs` as for `greeted`."""
        return {
            stream.link.identity.gateway_id: stream
            for stream in self.greeted(Connection.DATA, None, hubs=hubs)
            if gateway_id in {None, stream.link.identity.gateway_id} and feature in stream.features
        }

    async def link(self, identity: GatewayIdentity, epoch: bytes, connection: Connection) -> Link:
        """Take the shared state of gateway and epoch, with positions from the database when no stream of it is up.

        OtherHistoryError when the database is another than the one that knew the gateway.
        """
        place = (identity.gateway_id, epoch)
        link = self._links.get(place)
        if link is None:
            positions, _ = await self.positions(identity, epoch, connection)
            self._database.history.check(identity.history)
            receiver = LinkReceiver(identity.tenant, identity.gateway, epoch, positions)
            maker = self._maker(self._database, identity, epoch)
            # An alarm may not wait for a device's row, which writers of data hold; its link tells that the device is there.
            alarm_maker = self._maker(self._alarm_database, identity, epoch, notes_heard=False)
            # Another stream may have been faster while the database was asked.
            link = self._links.setdefault(place, Link(identity, epoch, receiver, maker, alarm_maker))
        self._database.history.check(identity.history)
        return link

    def _maker(
        self, database: "Database", identity: GatewayIdentity, epoch: bytes, *, notes_heard: bool = True
    ) -> RowMaker:
        # Alarms, whose maker notes nothing, need few ids and wait for no others.
        catalog = GatewayCatalog(
            database, identity.tenant_id, identity.gateway_id, epoch, identity.history, is_read=not notes_heard
        )
        tickets = Tickets(self._ticket_key, identity.tenant)
        return RowMaker(
            catalog,
            identity.gateway,
            self._now_ns,
            self._is_watched,
            tickets,
            forwards=identity.forwards,
            notes_heard=notes_heard,
        )

    async def positions(
        self, identity: GatewayIdentity, epoch: bytes, asks: Connection
    ) -> tuple[dict[Lane, Position], list[NewestBatch]]:
        """Ask the database what is stored, and which batches are the newest. `asks`: the connection that waits for it."""
        values = {"gateway": identity.gateway_id, "epoch": epoch}
        async with self.database_of(asks).connection(of=identity.history) as connection:
            rows = await (await connection.execute(_QUERIES["positions"], values)).fetchall()
        newest = [NewestBatch(lane=row[0], n=row[3], closed_ns=row[4]) for row in rows if row[3]]
        return {Lane(row[0]): position_of(int(row[1]), row[2]) for row in rows}, newest

    def open(self, stream: Stream) -> None:
        """Count it in; an older one of the same connection ends."""
        for other in self._streams:
            if other.link is stream.link and other.connection is stream.connection:
                other.end(
                    UnavailableError("A newer stream of this gateway took its place.", "", reason="stream-replaced")
                )
        self._streams.add(stream)
        identity = stream.link.identity
        self._watch.connected(identity.key, identity.tenant_id, identity.gateway)
        _STREAMS.labels(stream.connection.name.lower()).inc()

    def close(self, stream: Stream) -> None:
        """It has ended."""
        self._streams.discard(stream)
        identity = stream.link.identity
        self._watch.disconnected(identity.key)
        _STREAMS.labels(stream.connection.name.lower()).dec()
        self.forget(stream.link)

    def forget(self, link: Link) -> None:
        """Let go of a link that nobody uses. While a batch is being written the next Hello has to find it, or wait for it."""
        place = (link.identity.gateway_id, link.epoch)
        if self._links.get(place) is link and not (link.writing or any(s.link is link for s in self._streams)):
            del self._links[place]

    def begin_anew(self) -> None:
        """The database is another: every gateway says its hello again, and what its ids and positions are is asked again."""
        self._links.clear()
        for stream in self:
            stream.end(UnavailableError("The database was started again.", "Connect again.", reason="database-anew"))
