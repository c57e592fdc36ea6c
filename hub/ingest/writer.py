"""Group commit: many batches of many gateways in one transaction, each lane's position written in it (rule 3 of the architecture).

A batch is settled after the commit and never before. What the database refuses is looked for record by record and goes to
quarantine; when the database itself fails, nothing is settled, and the gateways send again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram
from psycopg.types.json import Jsonb

from hub.alarms.intake import Told, store_changes
from hub.core.history import OtherHistoryError
from hub.core.live import LiveKind, LiveMessage
from hub.core.principal import Principal, PrincipalKind, Role
from hub.core.sql import load_queries
from hub.ingest import pgcopy
from hub.ingest.again import insert_missing, is_there
from hub.ingest.learnt import learn
from hub.ingest.quarantined import Held, RejectedError, held_record
from hub.ingest.rows import Rows
from hub.ingest.told import Insert
from hub.ingest.turns import Turns
from hub.store.rollups import stretches
from hub.upstream import intake as outbox
from protocols.link import Lane, Position, Ranges, newest_of
from protocols.wire import MAX_RECORDS

if TYPE_CHECKING:
    from psycopg.types.multirange import Multirange

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.upstream.domain import Rules
    from protocols.uplink_pb2 import Batch

_QUERIES = load_queries("hub.ingest")

_NONE = (0, 0)  # no newest batch
_BUSY_S = 0.1  # a writer that ended a transaction so lately has more to come
_MADE_KEPT = 100_000
MAX_GROUP = 128  # batches in one transaction: 2 MB at the 16 KB of a batch
MAX_GROUP_BYTES = 8 * 1024 * 1024
# Changes of alarms in one transaction: what comes meanwhile waits for it, and the alarm path has 0.3 s in all (decision 0166).
MAX_ALARMS = 50

_BATCHES = Counter("hub_ingest_batches_total", "Batches by what became of them", ["result"])
_RECORDS = Counter("hub_ingest_records_total", "Records stored", ["kind"])
_QUARANTINED = Counter("hub_ingest_quarantined_total", "Records put into quarantine", ["reason"])
_TRANSACTION = Histogram("hub_ingest_transaction_seconds", "Time of a group's transaction", ["writer"])
_QUEUE = Gauge("hub_ingest_queue_batches", "Batches that wait for a transaction", ["writer"])
_QUEUE_BYTES = Gauge("hub_ingest_queue_bytes", "What these batches hold, as they came", ["writer"])

LaneKey: TypeAlias = tuple[int, bytes, Lane]
Remake: TypeAlias = Callable[[int], Awaitable[Rows]]


@dataclass(slots=True)
class Pending:
    """A batch on its way into the database, or a stretch that never comes (`rows` empty, `batch` None).

    `settled(error)` is called once: with None after the commit, else with why nothing was stored. `remake(index)` makes the
    rows of one record again, for the search of what the database refuses.
    """

    tenant_id: int
    gateway_id: int
    gateway: str
    epoch: bytes
    lane: Lane
    first: int
    last: int
    rows: Rows
    settled: "Callable[[Pending, Exception | None], None]"
    batch: "Batch | None" = None
    remake: Remake | None = None
    rules: "Rules | None" = None  # what of it goes up to the hub above
    size_bytes: int = 0  # of the batch as it came
    duplicate: bool = False
    again: bool = False  # it was asked for again: of its rows only those are written that are missing
    alarm_events: list[int] = field(default_factory=list[int])
    history: int = 0  # of the database from which the ids are

    @property
    def key(self) -> LaneKey:
        """Whose position it moves."""
        return self.gateway_id, self.epoch, self.lane

    @property
    def gateway_key(self) -> tuple[int, str]:
        """Whose it is, whatever id a database gives the gateway."""
        return self.tenant_id, self.gateway

    @property
    def records(self) -> int:
        """What it costs to store."""
        return 1 if self.batch is None else max(1, len(self.batch.records))


class Writer:
    """One task with one connection at a time. Batches of one lane must always go to the same writer.

    `checkpoint(name)` is awaited at "before-commit" and "after-commit": the tests of power loss end the process there.
    """

    def __init__(
        self,
        database: "Database",
        name: str,
        publish: Callable[[LiveMessage], None],
        checkpoint: Callable[[str], Awaitable[None]] | None = None,
        audit: "AuditLog | None" = None,
        gather_s: float = 0.0,
    ) -> None:
        """`audit`: where acknowledgements that were given at gateways are written; a writer without one takes no alarms.

        `gather_s`: how long a transaction waits for more batches while they come one behind the other (decision 0145).
        """
        self._gather_s = gather_s
        self._audit = audit
        self._database = database
        self._name = name
        self._publish = publish
        self._checkpoint = checkpoint
        self._made: set[LaneKey] = set()  # lanes that have a row
        self._turns: Turns[Pending] = Turns()
        self._records = MAX_GROUP * MAX_RECORDS if audit is None else MAX_ALARMS
        self._log = structlog.get_logger().bind(writer=name)

    async def put(self, pending: Pending) -> None:
        """Hand in a batch; waits while the queue is full."""
        await self._turns.put(pending)
        self._measure()

    def begin_anew(self) -> None:
        """The database is another: which lanes have a row there is not known."""
        self._made.clear()

    async def run(self) -> None:
        """Store groups until cancelled; what then waits is settled with an error."""
        group: list[Pending] = []
        ended_s = -_BUSY_S
        try:
            while True:
                await self._turns.filled()
                if self._gather_s and time.monotonic() - ended_s < _BUSY_S:
                    await asyncio.sleep(self._gather_s)
                group = self._turns.take(MAX_GROUP, self._records, MAX_GROUP_BYTES)
                self._measure()
                await self._store_group(group)
                group = []
                ended_s = time.monotonic()
        finally:
            while self._turns.batches:
                group += self._turns.take(MAX_GROUP, MAX_GROUP * MAX_RECORDS, MAX_GROUP_BYTES)
            for pending in group:
                pending.settled(pending, ConnectionError("the hub is stopping"))

    def _measure(self) -> None:
        _QUEUE.labels(self._name).set(self._turns.batches)
        _QUEUE_BYTES.labels(self._name).set(self._turns.size_bytes)

    async def _store_group(self, group: Sequence[Pending]) -> None:
        try:
            await self._store(group)
        except OtherHistoryError as error:
            now = self._database.history.number
            self._settle([p for p in group if p.history != now], error)
            rest = [p for p in group if p.history == now]
            if rest:
                await self._store_group(rest)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(group) > 1:
                for pending in group:
                    await self._store_group([pending])
            else:
                await self._store_all_but_the_poison(group[0], error)
        except (psycopg.Error, OSError, ConnectionError, TimeoutError) as error:
            self._log.error("ingest-transaction-failed", error=type(error).__name__, detail=str(error))
            self._settle(group, error)
        except Exception as error:  # noqa: BLE001  whatever it is, the batch must not be acknowledged, and the writer goes on
            self._log.exception("ingest-transaction-failed")
            self._settle(group, error)

    def _settle(self, group: Sequence[Pending], error: Exception | None) -> None:
        for pending in group:
            _BATCHES.labels("failed" if error else "duplicate" if pending.duplicate else "stored").inc()
            pending.settled(pending, error)

    async def _store(self, group: Sequence[Pending]) -> None:
        with _TRANSACTION.labels(self._name).time():
            await self._make_positions(group)
            async with self._database.transaction(of=_eldest(group)) as connection:
                positions, reopened = await self._lock_positions(connection, group)
                for pending in group:
                    position, opened = positions[pending.key], reopened[pending.key]
                    pending.duplicate = position.contains(pending.first, pending.last)
                    pending.again = any(True for _ in opened.within(pending.first, pending.last))
                    position.add(pending.first, pending.last)
                    opened.remove(pending.first, pending.last)
                wanted = [p for p in group if not p.duplicate]
                await insert(connection, wanted)
                await self._write_positions(connection, wanted, positions, reopened)
                if self._audit is not None:
                    await _audit_seen(connection, self._audit, wanted)
                if self._checkpoint is not None:
                    await self._checkpoint("before-commit")
        if self._checkpoint is not None:
            await self._checkpoint("after-commit")
        self._settle(group, None)
        for pending in wanted:
            self._tell(pending)

    async def _make_positions(self, group: Sequence[Pending]) -> None:
        """Give each lane that is new here its row, in a transaction of its own: one that waits for another's would wait in no order."""
        new = {p.key: p for p in group if p.key not in self._made}
        if not new:
            return
        if len(self._made) + len(new) > _MADE_KEPT:
            self._made.clear()
        async with self._database.connection(of=_eldest(group)) as connection:
            values = {**_columns(new), "tenants": [p.tenant_id for p in new.values()]}
            await connection.execute(_QUERIES["make_positions"], values)
        self._made.update(new)

    async def _lock_positions(
        self, connection: "Connection", group: Sequence[Pending]
    ) -> tuple[dict[LaneKey, Position], dict[LaneKey, Ranges]]:
        """Lock the lanes' rows in one order, so that two writers never wait for each other; what they say is the truth.

        Returns what is stored of each lane, and what of the rest was asked for again.
        """
        positions: dict[LaneKey, Position] = {}
        reopened: dict[LaneKey, Ranges] = {}
        wanted = sorted({p.key for p in group})
        rows = await (await connection.execute(_QUERIES["lock_positions"], _columns(wanted))).fetchall()
        for gateway_id, epoch, lane, cumulative, stored, opened in rows:
            key = int(gateway_id), bytes(epoch), Lane(lane)
            positions[key], reopened[key] = position_of(int(cumulative), stored), ranges_of(opened)
        missing = [key for key in wanted if key not in positions]
        if missing:  # somebody has taken the rows away; the gateways send again, and then they are made
            self._made.difference_update(missing)
            gateway_id, _, lane = missing[0]
            msg = f"position of gateway {gateway_id}, lane {lane.name}: neither made nor found"
            raise RuntimeError(msg)
        return positions, reopened

    async def _write_positions(
        self,
        connection: "Connection",
        group: Sequence[Pending],
        positions: dict[LaneKey, Position],
        reopened: dict[LaneKey, Ranges],
    ) -> None:
        lanes = sorted({p.key for p in group})
        if lanes:
            newest = _newest(group)
            values = {
                **_columns(lanes),
                "cumulative": [positions[key].cumulative for key in lanes],
                "stored": [_multirange(positions[key].above) for key in lanes],
                "reopened": [_multirange(reopened[key]) for key in lanes],
                "newest": [newest.get(key, _NONE)[0] for key in lanes],
                "newest_closed_ns": [newest.get(key, _NONE)[1] for key in lanes],
            }
            await connection.execute(_QUERIES["write_positions"], values)

    async def _store_all_but_the_poison(self, pending: Pending, error: Exception) -> None:
        """Find by trial which records the database refuses, and store the batch without them."""
        if pending.batch is None or pending.remake is None:
            self._settle([pending], error)
            return
        refused: list[Held] = []
        try:
            for index, envelope in enumerate(pending.batch.records):
                reason = await self._try(pending, await pending.remake(index))
                if reason:
                    refused.append(held_record(index, envelope, RejectedError("database", "message", text=reason)))
            poisoned = {held.index for held in refused}
            pending.rows = Rows(held=refused)
            for index in range(len(pending.batch.records)):
                if index not in poisoned:
                    _append(pending.rows, await pending.remake(index))
            await self._store([pending])
        except Exception as again:  # noqa: BLE001  the batch must not be acknowledged, and the writer goes on
            self._log.exception("ingest-poison-search-failed", first_error=str(error))
            self._settle([pending], again)

    async def _try(self, pending: Pending, rows: Rows) -> str:
        """Store one record's rows and roll back; returns why the database refuses it, or nothing."""
        probe = Pending(
            pending.tenant_id,
            pending.gateway_id,
            pending.gateway,
            pending.epoch,
            pending.lane,
            pending.first,
            pending.last,
            rows,
            pending.settled,
        )
        with suppress(psycopg.Rollback):
            try:
                async with self._database.transaction(of=pending.history) as connection:
                    await insert(connection, [probe])
                    raise psycopg.Rollback
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                return (error.diag.message_primary or str(error)).replace("\n", " ")
        return ""

    def _tell(self, pending: Pending) -> None:
        rows = pending.rows
        _RECORDS.labels("observation").inc(len(rows.observations))
        _RECORDS.labels("waveform").inc(len(rows.waveforms))
        _RECORDS.labels("alarm").inc(len(rows.alarms))
        for held in rows.held:
            _QUARANTINED.labels(held.reason).inc()
            self._log.warning(
                "record-in-quarantine",
                gateway_id=pending.gateway_id,
                lane=pending.lane.name.lower(),
                n=pending.first,
                index=held.index,
                reason=held.reason,
            )
        for change, event_id in zip(rows.alarms, pending.alarm_events, strict=True):
            self._publish(LiveMessage(LiveKind.ALARM, pending.tenant_id, change.record, event_id))
        for message in rows.live:
            self._publish(message)


async def _mark_late(connection: "Connection", group: Sequence[Pending]) -> None:
    """Mark what came behind the closing of its minute; live data, which are nearly all, cost one question for the time of that."""
    found = await (await connection.execute(_QUERIES["rollups_closed"])).fetchone()
    closed_minute = 0 if found is None else found[0]
    late = {one for p in group for one in p.rows.touched if one[1] < closed_minute}
    if late:
        series, from_minutes, to_minutes = stretches(late)
        values = {"series": series, "from": from_minutes, "to": to_minutes}
        await connection.execute(_QUERIES["touch_rollups"], values)


async def insert(connection: "Connection", group: Sequence[Pending]) -> None:
    """Write the rows of batches, inside the caller's transaction; their positions are the caller's."""
    observations = [row for p in group if not p.again for row in p.rows.observations]
    waveforms = [row for p in group if not p.again for row in p.rows.waveforms]
    for statement, rows in ((pgcopy.COPY_OBSERVATION, observations), (pgcopy.COPY_WAVEFORM, waveforms)):
        if rows:
            async with connection.cursor() as cursor, cursor.copy(statement) as copy:
                await copy.write(pgcopy.stream(rows))
    await insert_missing(connection, [p.rows for p in group if p.again])
    if any(p.rows.touched for p in group):
        await _mark_late(connection, group)
    for p in group:
        for query, values in p.rows.inserts:
            given = {**values, "tenant": p.tenant_id, "gateway": p.gateway_id}
            if not (p.again and await is_there(connection, query, given)):
                await connection.execute(_QUERIES[query], given)
        for held in p.rows.held:
            await _hold(connection, p, held)
    await _store_alarms(connection, [p for p in group if p.rows.alarms])
    await outbox.put(connection, [_up(p, p.rules) for p in group if p.rules is not None])
    await learn(connection, [(p.tenant_id, query, values) for p in group for query, values in _learnt(p)])


def _learnt(p: Pending) -> list[Insert]:
    """What the ledger learns of devices: what they said, and how much of them was refused."""
    counted: dict[str, int] = {} if p.again else p.rows.refused
    return [*p.rows.ledger, *(("refused", {"device": device, "records": n}) for device, n in counted.items())]


async def _store_alarms(connection: "Connection", group: Sequence[Pending]) -> None:
    told = [Told(p.tenant_id, p.gateway_id, f"gateway:{p.gateway}", change) for p in group for change in p.rows.alarms]
    events = iter(await store_changes(connection, told))
    for p in group:
        p.alarm_events = [next(events) for _ in p.rows.alarms]


def _up(p: Pending, rules: "Rules") -> dict[str, object]:
    """Its row of the outbox."""
    held = [h.index for h in p.rows.held]
    records = b"" if p.batch is None else outbox.shared(rules, p.batch, held, p.gateway, p.epoch)
    return {**_lane_values(p), "gateway": p.gateway, "first": p.first, "last": p.last, "records": records}


async def _audit_seen(connection: "Connection", audit: "AuditLog", group: Sequence[Pending]) -> None:
    """Write down who acknowledged at which gateway."""
    for p in group:
        for change in p.rows.alarms:
            if change.seen is not None:
                roles = frozenset(Role(role) for role in change.seen.roles if role in set(Role))
                person = Principal(PrincipalKind.USER, str(change.seen.account), p.tenant_id, roles)
                details = {"gateway": p.gateway, "at_ms": change.seen.at_ns // 1_000_000}
                target = f"alarm:{UUID(bytes=change.alarm_id)}"
                await audit.write(connection, person, "alarm.acknowledge", target, details)


async def _hold(connection: "Connection", p: Pending, held: Held) -> None:
    values = {
        **_lane_values(p),
        "n": p.first,
        "index": held.index,
        "reason": held.reason,
        "detail": str(held.why),
        "said": Jsonb(held.why.as_json()),
        "bytes": held.raw,
        "device": held.device,
        "source": held.source,
        "kind": held.kind,
        "field": held.field,
    }
    if not (p.again and await is_there(connection, "quarantine", values)):
        await connection.execute(_QUERIES["quarantine"], values)


def _newest(group: Iterable[Pending]) -> dict[LaneKey, tuple[int, int]]:
    """The newest batch of each lane of which it is known when it was closed: its n, and that."""
    newest: dict[LaneKey, tuple[int, int]] = {}
    for pending in group:
        if pending.batch is not None:
            one = newest_of(pending.batch)
            if one.closed_ns:
                newest[pending.key] = max(newest.get(pending.key, _NONE), (one.n, one.closed_ns))
    return newest


def position_of(cumulative: int, stored: "Multirange[int]") -> Position:
    """Read a row of lane_position."""
    position = Position(ranges_of(stored))
    if cumulative:
        position.add(1, cumulative)
    return position


def ranges_of(stored: "Multirange[int]") -> Ranges:
    """Read a column of lane_position."""
    bounded = ((part.lower, part.upper) for part in stored)
    return Ranges((lower, upper - 1) for lower, upper in bounded if lower is not None and upper is not None)


def _eldest(group: Sequence[Pending]) -> int:
    """The earliest history from which ids of a group are."""
    return min(p.history for p in group)


def _lane_values(pending: Pending) -> dict[str, object]:
    return {
        "tenant": pending.tenant_id,
        "gateway": pending.gateway_id,
        "epoch": pending.epoch,
        "lane": int(pending.lane),
    }


def _columns(lanes: Iterable[LaneKey]) -> dict[str, object]:
    """Keys of lanes as the arrays of a statement."""
    keys = list(lanes)
    return {
        "gateways": [gateway for gateway, _, _ in keys],
        "epochs": [epoch for _, epoch, _ in keys],
        "lanes": [int(lane) for _, _, lane in keys],
    }


def _multirange(ranges: Iterable[tuple[int, int]]) -> str:
    """Ranges as the text of an int8multirange."""
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in ranges) + "}"


def _append(rows: Rows, more: Rows) -> None:
    rows.observations += more.observations
    rows.waveforms += more.waveforms
    rows.inserts += more.inserts
    rows.ledger += more.ledger
    rows.alarms += more.alarms
    rows.held += more.held
    rows.touched |= more.touched
    rows.live += more.live
    rows.newest.update(more.newest)
    for device, records in more.refused.items():
        rows.refused[device] = rows.refused.get(device, 0) + records
