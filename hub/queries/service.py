"""What can be asked for: the latest readings, a range of them, names. Narrowed to the beds, or the devices, that the principal may see.

Of a bed that is what was measured of the patient who is there (hub.placement); of a device, for those who own devices, whatever it
measured. What may not be seen is as if it were not there.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import Counter

from hub.beds.domain import Bucket
from hub.beds.store import to_ms
from hub.core.errors import InvalidError, NotFoundError
from hub.core.policy import allowed, check, policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.queries.domain import (
    MOST_BUCKETS,
    MOST_SERIES,
    Found,
    Latest,
    Ranged,
    SearchKind,
    Series,
    Stretch,
    Targets,
    Whence,
    pattern_of,
    words_of,
)
from hub.queries.spelling import SPELT_AT_ONCE, spell

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal
    from hub.placement.domain import Point, Who
    from hub.placement.service import Placement

_QUERIES = load_queries("hub.queries")
_ACTION_OF = {
    SearchKind.DEVICE: "device.list",
    SearchKind.SOURCE: "device.list",
    SearchKind.WARD: "ward.read",
    SearchKind.PATIENT: "patient.search",
}
_READ = Counter("hub_query_rows_total", "Readings and buckets that were read for queries", ["query"])


class Asking:
    """The questions of one application."""

    def __init__(self, database: "Database", audit: "AuditLog", placement: "Placement") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._placement = placement

    @policy("reading.read")
    async def latest(self, principal: "Principal", targets: Targets, within: timedelta) -> list[Latest]:
        """The newest reading of each series, if it is not older than `within`."""
        targets.check()
        now = datetime.now(UTC)
        since = now - within
        whences = {w.device_id: w for w in await self._watched(principal, targets, since, now) if w.end > since}
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            series = await _series(connection, tenant, whences, targets.codes, numbers=False)
            values = {"series": list(series), "since": min((w.start for w in whences.values()), default=now)}
            rows = await (await connection.execute(_QUERIES["latest"], values)).fetchall()
        _READ.labels("latest").inc(len(rows))
        await self._note(principal, "reading.read", targets)
        found = [Latest(series[row[0]], whences[series[row[0]].device_id], *row[1:]) for row in rows]
        kept = [one for one in found if one.at >= one.whence.start]
        return sorted(kept, key=lambda one: (one.whence.device, one.series.code, one.series.source))

    @policy("reading.read")
    async def ranged(self, principal: "Principal", targets: Targets, asked: Stretch) -> list[Ranged]:
        """Every series of numbers in buckets: the least and the most of each, so that no spike is lost, mean and count."""
        targets.check()
        whences = await self._spans(principal, targets, asked)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            series = await _series(connection, tenant, {w.device_id: w for w in whences}, targets.codes, numbers=True)
            wanted = [(one, w) for one in series.values() for w in whences if w.device_id == one.device_id]
            if len(wanted) * asked.pixels > MOST_BUCKETS:
                raise InvalidError(
                    f"{len(wanted)} series at {asked.pixels} pixels: expected at most {MOST_BUCKETS} in all.",
                    "Ask for fewer codes, devices or pixels.",
                    reason="too-much",
                )
            found: list[Ranged] = []
            for at_place in _by_place(wanted):
                values = {
                    "series": [one.series_id for one, _ in at_place],
                    "froms": [w.start for _, w in at_place],
                    "tos": [w.end for _, w in at_place],
                    "width_s": asked.width_ms / 1000,
                }
                rows = await (await connection.execute(_QUERIES["buckets"], values)).fetchall()
                found += _ranged(at_place, rows)
        _READ.labels("range").inc(sum(len(one.buckets) for one in found))
        await self._note(principal, "reading.read", targets)
        order = list(series)
        return sorted(found, key=lambda one: order.index(one.series.series_id))

    @policy("search")
    async def search(
        self, principal: "Principal", typed: str, kinds: Collection[SearchKind], limit: int
    ) -> list[Found]:
        """What has a name like that, the nearest first: by characters, pinyin, initials or Latin letters, a typing error forgiven."""
        words = words_of(typed)
        if not words:
            raise InvalidError("Nothing to search for.", "Type a part of a name.", reason="search")
        for kind in kinds:
            check(principal, _ACTION_OF[kind])
        wanted = list(kinds) or [kind for kind in SearchKind if allowed(principal, _ACTION_OF[kind])]
        patients = await self._placement.placed_patients(principal) if SearchKind.PATIENT in wanted else {}
        wards = {w.ward_id for w in await self._placement.wards(principal)} if SearchKind.WARD in wanted else set[int]()
        tenant = tenant_of(principal)
        values: dict[str, object] = {
            "words": words,
            "patterns": [pattern_of(word) for word in words],
            "kinds": [str(kind) for kind in wanted],
            "patients": list(patients),
            "limit": limit,
        }
        async with self._database.transaction(tenant) as connection:
            await spell(connection, SPELT_AT_ONCE, tenant)
            rows = await (await connection.execute(_QUERIES["search"], values)).fetchall()
        _READ.labels("search").inc(len(rows))
        await self.audit.look(principal, "search", "names", {"kinds": ",".join(sorted(map(str, wanted)))})
        found = [_found(SearchKind(row[0]), int(row[1]), row[2], float(row[3]), patients) for row in rows]
        return [one for one in found if one.kind is not SearchKind.WARD or one.ref_id in wards]

    async def _watched(self, principal: "Principal", targets: Targets, since: datetime, now: datetime) -> list[Whence]:
        """Each device that is asked for, with the stretch of it that may be told now."""
        watched = (
            await self._placement.watched(principal)
            if targets.beds or not allowed(principal, "device.readings")
            else []
        )
        points = {w.point.point_of_care_id for w in watched}
        known = await self._placement.points(principal) if set(targets.beds) - points else {}
        for key in targets.beds:
            if key not in points and key not in known:
                raise _no_bed(key)
        named = set(targets.devices)
        found = [
            Whence(
                w.device_id,
                w.device,
                max(w.since, since),
                now,
                w.point.ward.slug,
                w.point.bed,
                w.point.point_of_care_id,
            )
            for w in watched
            if w.point.point_of_care_id in targets.beds or w.device in named
        ]
        seen = {w.device for w in found}
        if allowed(principal, "device.readings"):
            found += [Whence(number, name, since, now) for number, name in await self._devices(principal, named - seen)]
            seen |= {w.device for w in found}
        if named - seen:
            raise _no_device(min(named - seen))
        return found

    async def _spans(self, principal: "Principal", targets: Targets, asked: Stretch) -> list[Whence]:
        """The stretches of devices that are asked for and may be told."""
        keys = dict.fromkeys(targets.beds)
        owns = allowed(principal, "device.readings")
        own_devices: dict[str, int] = {}
        if targets.devices and not owns:
            at = {w.device: w.point.point_of_care_id for w in await self._placement.watched(principal)}
            missing = [name for name in targets.devices if name not in at]
            if missing:
                raise _no_device(missing[0])
            own_devices = {name: at[name] for name in targets.devices}
        found: list[Whence] = []
        for key in {**keys, **dict.fromkeys(own_devices.values())}:
            stay = await self._placement.stay(principal, key, asked.start, asked.end)
            point = stay.point
            found += [
                Whence(s.device_id, s.device, s.start, s.end, point.ward.slug, point.bed, key)
                for s in stay.spans
                if key in keys or own_devices.get(s.device) == key
            ]
        if targets.devices and owns:
            devices = await self._devices(principal, set(targets.devices))
            missing = set(targets.devices) - {name for _, name in devices}
            if missing:
                raise _no_device(min(missing))
            found = [w for w in found if w.device not in targets.devices]
            found += [Whence(number, name, asked.start, asked.end) for number, name in devices]
        return found

    async def _devices(self, principal: "Principal", names: Collection[str]) -> list[tuple[int, str]]:
        if not names:
            return []
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            values = {"tenant": tenant, "names": list(names)}
            rows = await (await connection.execute(_QUERIES["devices"], values)).fetchall()
        return [(int(row[0]), str(row[1])) for row in rows]

    async def _note(self, principal: "Principal", action: str, targets: Targets) -> None:
        """One entry for a question: what it was about in a line of bounded length."""
        named = [*targets.devices, *(f"bed:{key}" for key in targets.beds)]
        await self.audit.look(
            principal, action, "readings", {"of": ",".join(sorted(named))[:2000], "count": len(named)}
        )


async def _series(
    connection: "Connection", tenant: int, whences: dict[int, Whence], codes: Sequence[str], *, numbers: bool
) -> dict[int, Series]:
    values = {
        "tenant": tenant,
        "devices": list(whences),
        "codes": list(codes),
        "numbers": numbers,
        "limit": MOST_SERIES + 1,
    }
    rows = await (await connection.execute(_QUERIES["series"], values)).fetchall()
    if len(rows) > MOST_SERIES:
        raise InvalidError(
            f"More than {MOST_SERIES} series.", "Ask for fewer devices, or name codes.", reason="too-much"
        )
    return {row[0]: Series(*row) for row in rows}


def _found(kind: SearchKind, ref_id: int, label: str, score: float, patients: "dict[int, tuple[Point, Who]]") -> Found:
    if kind is not SearchKind.PATIENT:
        return Found(kind, ref_id, label, score)
    point, who = patients[ref_id]
    return Found(kind, ref_id, who.masked_name, score, point.ward.slug, point.bed, who.age, who.sex)


def _by_place(wanted: Sequence[tuple[Series, Whence]]) -> Iterator[list[tuple[Series, Whence]]]:
    """Parts in each of which every series has one place; where no device has moved that is one part."""
    places: dict[int, list[int | None]] = {}
    parts: list[list[tuple[Series, Whence]]] = []
    for one, whence in wanted:
        mine = places.setdefault(one.series_id, [])
        if whence.key not in mine:
            mine.append(whence.key)
        if len(mine) > len(parts):
            parts.append([])
        parts[mine.index(whence.key)].append((one, whence))
    yield from parts


def _ranged(asked: Sequence[tuple[Series, Whence]], rows: Iterable["TupleRow"]) -> Iterator[Ranged]:
    buckets: dict[int, list[Bucket]] = {}
    for number, at, *bucket in rows:
        buckets.setdefault(number, []).append(Bucket(to_ms(at), *bucket))
    whence = {one.series_id: (one, w) for one, w in reversed(asked)}
    for number, its in buckets.items():
        yield Ranged(*whence[number], tuple(its))


def _no_bed(key: int) -> NotFoundError:
    return NotFoundError(
        f"There is no bed {key} that you may see.", "Check the key, or ask for the ward to be assigned to you."
    )


def _no_device(name: str) -> NotFoundError:
    return NotFoundError(f"There is no device {name!r} that you may see.", "Check the name, or ask for its bed.")
