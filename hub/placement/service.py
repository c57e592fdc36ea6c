"""What can be done with placement: wards and beds made, devices and patients put at them, limits set; who is where now.

Associations are intervals and nothing is overwritten, so that a wrong one can be put right without touching a sample.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.core.errors import InvalidError, NotFoundError
from hub.core.policy import allowed, policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.placement.domain import (
    LimitInForce,
    LimitSet,
    Patient,
    PlacedDevice,
    Point,
    Span,
    Stay,
    Ward,
    Watched,
    Who,
    Whose,
    age_group,
    natural,
    who,
)
from hub.placement.limits import check_limit

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal
    from models.screening.critical_items import AgeGroup

_QUERIES = load_queries("hub.placement")


class Placement:
    """Where everybody and everything is. What a principal sees is narrowed to the wards of `accounts`."""

    def __init__(self, database: "Database", audit: "AuditLog", accounts: "Accounts") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._accounts = accounts

    @policy("ward.read")
    async def wards(self, principal: "Principal") -> list[Ward]:
        """The wards that the principal may see, by slug."""
        seen = await self._accounts.wards(principal)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            found = await _wards(connection, tenant)
        return [ward for ward in found if seen is None or ward.ward_id in seen]

    @policy("ward.read")
    async def ward(self, principal: "Principal", slug: str) -> Ward:
        """A ward; NotFoundError also when there is one that the principal may not see."""
        for ward in await self.wards(principal):
            if ward.slug == slug:
                return ward
        await self.audit.denied(principal, "ward.read", "ward")
        raise NotFoundError(
            f"There is no ward {slug!r} that you may see.",
            "Check the address, or ask an administrator to assign the ward to you.",
        )

    @policy("ward.read")
    async def points(self, principal: "Principal") -> dict[int, Point]:
        """Every point of care that the principal may see, by id, in the order of ward and bed."""
        seen = await self._accounts.wards(principal)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["points"], {"tenant": tenant})).fetchall()
        found = [Point(r[0], Ward(r[2], r[3], r[4]), r[1]) for r in rows if seen is None or r[2] in seen]
        found.sort(key=lambda point: (point.ward.slug, natural(point.bed)))
        return {point.point_of_care_id: point for point in found}

    @policy("placement.read")
    async def devices(self, principal: "Principal") -> list[PlacedDevice]:
        """The devices that are at a point of care now, of the whole tenant."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            rows = await (await connection.execute(_QUERIES["placed_devices"], {"tenant": tenant})).fetchall()
        return [PlacedDevice(*row) for row in rows]

    @policy("ward.read")
    async def patients(self, principal: "Principal", points: Collection[int]) -> dict[int, Who]:
        """Who is at these points of care, masked; empty for those who may not know (administrators, engineers)."""
        if not allowed(principal, "patient.read"):
            return {}
        today = datetime.now(UTC).date()
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["patients"], {"points": list(points)})).fetchall()
        return {row[0]: who(row[1], row[2], row[3], today) for row in rows}

    @policy("ward.read")
    async def limits(self, principal: "Principal", points: Collection[int]) -> dict[int, list[LimitInForce]]:
        """The alarm limits in force at these points of care."""
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["limits"], {"points": list(points)})).fetchall()
        found: dict[int, list[LimitInForce]] = {}
        for point, *limit in rows:
            found.setdefault(point, []).append(LimitInForce(*limit))
        return found

    @policy("ward.read")
    async def age_group(self, principal: "Principal", point: int) -> "AgeGroup":
        """By which patient group a bed is screened: of who is there, adult when nobody is or no birth date is known."""
        today = datetime.now(UTC).date()
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["patients"], {"points": [point]})).fetchall()
        return age_group(rows[0][3] if rows else None, today)

    @policy("ward.read")
    async def stay(self, principal: "Principal", point: int, start: datetime, end: datetime) -> Stay:
        """Whose data the bed shows between `start` and `end`, and by which devices at which times they were measured.

        A patient is followed over the beds that the principal may see. NotFoundError for a bed that there is not, or not for them.
        """
        points = await self.points(principal)
        if point not in points:
            await self.audit.denied(principal, "ward.read", "bed")
            raise NotFoundError(
                f"There is no bed {point} that you may see.",
                "Check the address, or ask an administrator to assign the ward to you.",
            )
        values: dict[str, object] = {"point": point, "points": list(points), "from": start, "to": end}
        async with self._database.transaction(tenant_of(principal)) as connection:
            now = await (await connection.execute(_QUERIES["patient_now"], values)).fetchone()
            if now is not None:
                patient, since = int(now[0]), now[1]
                query = "spans_of_patient"
                values["patient"] = patient
            else:
                left = await (await connection.execute(_QUERIES["last_patient_left"], values)).fetchone()
                patient, since = None, left[0] if left else None
                query = "spans_of_point"
                values["from"] = start if since is None else min(max(start, since), end)
            rows = await (await connection.execute(_QUERIES[query], values)).fetchall()
        return Stay(points[point], patient, since, tuple(Span(*row) for row in rows))

    @policy("ward.read")
    async def watched(self, principal: "Principal") -> list[Watched]:
        """The devices at the beds that the principal may see, and since when what they measure is of who is there now."""
        points = await self.points(principal)
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["watched"], {"points": list(points)})).fetchall()
        return [Watched(points[point], device, name, since) for point, device, name, since in rows]

    @policy("patient.search")
    async def placed_patients(self, principal: "Principal") -> dict[int, tuple[Point, Who]]:
        """The patients at the beds that the principal may see, masked, by id."""
        points, today = await self.points(principal), datetime.now(UTC).date()
        async with self._database.transaction(tenant_of(principal)) as connection:
            rows = await (await connection.execute(_QUERIES["patients"], {"points": list(points)})).fetchall()
        return {row[4]: (points[row[0]], who(row[1], row[2], row[3], today)) for row in rows}

    @policy("ward.read")
    async def whose(self, principal: "Principal", device_id: int, at: datetime) -> Whose | None:
        """At which bed a device was at a moment, and who was there then; None when at none that the principal may see."""
        points = await self.points(principal)
        values = {"device": device_id, "at": at, "points": list(points)}
        async with self._database.transaction(tenant_of(principal)) as connection:
            row = await (await connection.execute(_QUERIES["whose"], values)).fetchone()
        if row is None:
            return None
        known = row[1] is not None and allowed(principal, "patient.read")
        masked = who(row[2], row[3], row[4], datetime.now(UTC).date()) if known else None
        return Whose(points[row[0]], row[1], masked, age_group(row[4], at.date()))

    @policy("ward.read")
    async def who_was(self, principal: "Principal", point: int, at: datetime) -> Who | None:
        """Who was at a point of care at a moment; None when nobody, and for a principal who may not see that bed or no patients."""
        if point not in await self.points(principal) or not allowed(principal, "patient.read"):
            return None
        async with self._database.transaction(tenant_of(principal)) as connection:
            row = await (await connection.execute(_QUERIES["who_was"], {"point": point, "at": at})).fetchone()
        return who(row[0], row[1], row[2], datetime.now(UTC).date()) if row else None

    @policy("placement.change")
    async def add_ward(self, principal: "Principal", slug: str, name: str) -> None:
        """Make a ward; one of that slug that is there already stays as it is."""
        tenant = tenant_of(principal)
        if not slug or not slug[0].isalnum() or any(c not in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in slug):
            raise InvalidError(
                f"Ward {slug!r}: expected a-z, 0-9 and '-', as in an address.", "Give the full name with --name."
            )
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["add_ward"], {"tenant": tenant, "slug": slug, "name": name or slug})
            await self.audit.write(connection, principal, "ward.add", f"ward:{slug}")

    @policy("placement.change")
    async def add_bed(self, principal: "Principal", ward: str, bed: str) -> None:
        """Make a bed in a ward; one that is there already stays as it is. NotFoundError for the ward."""
        tenant = tenant_of(principal)
        if not bed or "/" in bed or any(c.isspace() for c in bed):
            raise InvalidError(f"Bed {bed!r}: expected text without '/' and spaces.", "Choose another name.")
        async with self._database.transaction(tenant) as connection:
            ward_id = next((w.ward_id for w in await _wards(connection, tenant) if w.slug == ward), None)
            if ward_id is None:
                raise NotFoundError(
                    f"There is no ward {ward!r}.",
                    "Write it into a file as [[ward]] and run: wardlink hub seed --file FILE",
                )
            await connection.execute(_QUERIES["add_bed"], {"tenant": tenant, "ward": ward_id, "bed": bed})
            await self.audit.write(connection, principal, "bed.add", f"bed:{ward}/{bed}")

    @policy("placement.change")
    async def place_device(self, principal: "Principal", device: str, ward: str, bed: str) -> None:
        """Put a device at a bed from now on; it leaves the one where it was. A device not yet heard of is made known."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            point = await _point(connection, tenant, ward, bed)
            named: dict[str, object] = {"tenant": tenant, "name": device}
            await connection.execute(_QUERIES["add_device"], named)
            row = await (await connection.execute(_QUERIES["device"], named)).fetchone()
            assert row is not None
            values = {"tenant": tenant, "device": row[0], "point": point}
            at = await (await connection.execute(_QUERIES["device_is_at"], values)).fetchone()
            if at is None or at[0] != point:
                await connection.execute(_QUERIES["device_leaves"], values)
                await connection.execute(_QUERIES["device_comes"], values)
            await self.audit.write(connection, principal, "device.place", f"device:{row[0]}", {"bed": f"{ward}/{bed}"})

    @policy("placement.change")
    async def place_patient(self, principal: "Principal", patient: Patient, ward: str, bed: str) -> None:
        """Put a patient at a bed from now on; whoever was there leaves it, and the patient leaves where they were."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            point = await _point(connection, tenant, ward, bed)
            kept = {
                "tenant": tenant,
                "hospital_number": patient.hospital_number,
                "name": patient.name,
                "sex": patient.sex,
                "birth_date": patient.birth_date,
                "paced": patient.paced,
            }
            row = await (await connection.execute(_QUERIES["keep_patient"], kept)).fetchone()
            assert row is not None
            values = {"tenant": tenant, "patient": row[0], "point": point}
            at = await (await connection.execute(_QUERIES["patient_is_at"], values)).fetchone()
            if at is None or at[0] != point:
                await connection.execute(_QUERIES["patients_leave"], values)
                await connection.execute(_QUERIES["patient_comes"], values)
            target = f"patient:{row[0]}"
            await self.audit.write(connection, principal, "patient.place", target, {"bed": f"{ward}/{bed}"})

    @policy("limit.change")
    async def set_limit(self, principal: "Principal", ward: str, bed: str, limit: LimitSet) -> None:
        """Set the limits of one measurement at a bed; the gateway screens by them as soon as it has heard of them."""
        tenant = tenant_of(principal)
        check_limit(limit)
        async with self._database.transaction(tenant) as connection:
            point = await _point(connection, tenant, ward, bed)
            values = {"tenant": tenant, "point": point, "code": limit.code, "unit": limit.unit}
            await connection.execute(_QUERIES["set_limit"], values | {"low": limit.low, "high": limit.high})
            details = {"code": limit.code, "low": limit.low, "high": limit.high}
            await self.audit.write(connection, principal, "limit.change", f"bed:{ward}/{bed}", details)


async def _wards(connection: "Connection", tenant: int) -> list[Ward]:
    rows = await (await connection.execute(_QUERIES["wards"], {"tenant": tenant})).fetchall()
    return [Ward(*row) for row in rows]


async def _point(connection: "Connection", tenant: int, ward: str, bed: str) -> int:
    rows = await (await connection.execute(_QUERIES["points"], {"tenant": tenant})).fetchall()
    for point_of_care_id, name, _, slug, _ in rows:
        if (slug, name) == (ward, bed):
            return int(point_of_care_id)
    raise NotFoundError(
        f"There is no bed {ward}/{bed}.", "Write it into a file as [[bed]] and run: wardlink hub seed --file FILE"
    )
