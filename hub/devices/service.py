"""What can be done with the ledger: list and find devices, look at one, admit it, retire it. Placing is hub.placement's."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.pinyin import answers
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.devices.domain import (
    LIVE_WITHIN,
    LOW_BATTERY_PERCENT,
    PAGE_ROWS,
    Counts,
    Detail,
    Device,
    Filters,
    Happening,
    Listing,
    Measured,
    words_of,
)

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal

_QUERIES = load_queries("hub.devices")
_LIFE_ROWS = 50
_EXPORT_ROWS = 500  # at a time: the pages of alarms are served in between
_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
ADMISSIONS = ("required", "open")


class Devices:
    """The ledger of a tenant."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit

    @policy("device.list")
    async def find(self, principal: "Principal", filters: Filters) -> Listing:
        """The devices that match, those that wait first; PAGE_ROWS a page."""
        tenant = tenant_of(principal)
        known: dict[str, object] = {"tenant": tenant, "live": LIVE_WITHIN, "low": LOW_BATTERY_PERCENT}
        async with self._database.transaction(tenant) as connection:
            wanted = await _wanted(connection, known, filters)
            page = {"limit": PAGE_ROWS, "offset": (filters.page - 1) * PAGE_ROWS}
            rows = await (await connection.execute(_QUERIES["devices"], wanted | page)).fetchall()
            counted = await (await connection.execute(_QUERIES["counts"], known)).fetchone()
            gateways = await (await connection.execute(_QUERIES["gateways"], known)).fetchall()
            wards = await (await connection.execute(_QUERIES["wards"], known)).fetchall()
        counts = Counts(*(counted or (0, 0, 0, 0, 0, 0)))
        wards_named = [(slug, name) for _, slug, name in wards]
        return Listing(_devices(rows), counts, int(rows[0][0]), [g for (g,) in gateways], wards_named)

    @policy("device.list")
    async def export(self, principal: "Principal", filters: Filters, take: "Callable[[list[Device]], None]") -> None:
        """Hand over every device that matches, of all pages, some at a time in the order of the list."""
        tenant = tenant_of(principal)
        known: dict[str, object] = {"tenant": tenant, "live": LIVE_WITHIN, "low": LOW_BATTERY_PERCENT}
        count = 0
        async with self._database.transaction(tenant) as connection:
            wanted = await _wanted(connection, known, filters)
            async with connection.cursor(name="export") as cursor:
                await cursor.execute(_QUERIES["devices"], wanted | {"limit": None, "offset": 0})
                while rows := await cursor.fetchmany(_EXPORT_ROWS):
                    devices = _devices(rows)
                    count += len(devices)
                    take(devices)
        await self.audit.record(principal, "device.export", "devices", {"rows": count})

    @policy("device.list")
    async def get(self, principal: "Principal", device_id: int) -> Detail:
        """One device; NotFoundError."""
        tenant = tenant_of(principal)
        values: dict[str, object] = {"tenant": tenant, "device": device_id, "limit": _LIFE_ROWS}
        async with self._database.transaction(tenant) as connection:
            row = await (await connection.execute(_QUERIES["device"], values)).fetchone()
            if row is None:
                raise _unknown(device_id)
            device = Device(*row)
            measures = await (await connection.execute(_QUERIES["measures"], values)).fetchall()
            events = await (await connection.execute(_QUERIES["events"], values)).fetchall()
            places = await (await connection.execute(_QUERIES["places"], values)).fetchall()
            held = await (
                await connection.execute(_QUERIES["held"], {"tenant": tenant, "name": device.name})
            ).fetchone()
        life = [Happening(*event) for event in events]
        life += [Happening(at, "placed", f"{ward} · {bed}", {}) for at, ward, bed in places]
        life.append(Happening(device.first_seen, "first_seen", "", {}))
        if device.admitted_at is not None and device.admission == "admitted":
            life.append(Happening(device.admitted_at, "admitted", "", {}))
        life.sort(key=lambda one: one.at, reverse=True)
        return Detail(device, [Measured(*m) for m in measures], life[:_LIFE_ROWS], int(held[0]) if held else 0)

    @policy("device.admit")
    async def admit(self, principal: "Principal", device_id: int) -> None:
        """Let a device's data be stored: what of it waits in quarantine is stored too, and its alarms reach the ward."""
        await self._set(principal, device_id, "admitted")

    @policy("device.admit")
    async def retire(self, principal: "Principal", device_id: int) -> None:
        """Take a device out of use: what it still sends goes to quarantine."""
        await self._set(principal, device_id, "retired")

    @policy("device.admit")
    async def admit_named(self, principal: "Principal", name: str) -> None:
        """Admit a device by its name, unless it is admitted already; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            row = await (
                await connection.execute(_QUERIES["device_named"], {"tenant": tenant, "name": name})
            ).fetchone()
        if row is None:
            raise NotFoundError(
                f"There is no device {name!r}.", "A device is in the ledger once a gateway has heard it."
            )
        with suppress(ConflictError):
            await self.admit(principal, row[0])

    @policy("device.policy")
    async def set_policy(self, principal: "Principal", admission: str) -> None:
        """Say whether new devices wait for admission (`required`) or are admitted as they come (`open`)."""
        if admission not in ADMISSIONS:
            raise InvalidError(
                f"Admission {admission!r}: expected one of {', '.join(ADMISSIONS)}.", "Give one of them."
            )
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["set_policy"], {"tenant": tenant, "admission": admission})
            await self.audit.write(connection, principal, "device.policy", f"tenant:{tenant}", {"admission": admission})

    async def _set(self, principal: "Principal", device_id: int, admission: str) -> None:
        tenant = tenant_of(principal)
        values: dict[str, object] = {
            "tenant": tenant,
            "device": device_id,
            "admission": admission,
            "who": str(principal),
        }
        async with self._database.transaction(tenant) as connection:
            changed = await (await connection.execute(_QUERIES["set_admission"], values)).fetchone()
            if changed is None:
                if await (await connection.execute(_QUERIES["device"], values)).fetchone() is None:
                    raise _unknown(device_id)
                raise ConflictError(f"The device is {admission} already.", "Load the page again.", reason="admission")
            action = "device.admit" if admission == "admitted" else "device.retire"
            await self.audit.write(connection, principal, action, f"device:{device_id}")


async def read_devices(connection: "Connection", tenant: int, devices: Sequence[int]) -> list[Device]:
    """These devices as the ledger has them, in their order; for features that show a few and have checked who asks."""
    found: list[Device] = []
    for device in devices:
        row = await (await connection.execute(_QUERIES["device"], {"tenant": tenant, "device": device})).fetchone()
        found += [] if row is None else [Device(*row)]
    return found


async def _wanted(connection: "Connection", known: dict[str, object], filters: Filters) -> dict[str, object]:
    """The filters as parameters of the query `devices`: the few wards are looked through here, the many devices there."""
    words = words_of(filters.q)
    answered: dict[int, str] = {}
    if words:
        wards = await (await connection.execute(_QUERIES["wards"], known)).fetchall()
        for ward, slug, name in wards:
            answered[ward] = " ".join(word for word in words if answers(slug, word) or answers(name, word))
    return {
        **known,
        "words": [f"%{word.translate(_LIKE)}%" for word in words],
        "wards": list(answered),
        "answers": list(answered.values()),
        "state": filters.state,
        "door": filters.door,
        "gateway": filters.gateway,
        "ward": filters.ward,
        "battery": filters.battery,
    }


def _devices(rows: "Sequence[TupleRow]") -> list[Device]:
    return [Device(*device) for _, *device in rows if device[0] is not None]


def _unknown(device_id: int) -> NotFoundError:
    return NotFoundError(f"There is no device {device_id}.", "Go back to the list of devices.")
