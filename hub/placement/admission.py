"""Admission and discharge by hand at a bed, and which devices are there: what a nurse does when a patient comes and goes.

Whatever is not as the form takes it (another patient in the bed, a device still elsewhere, a number known under another name)
is asked, with what stands in the database now, and done only when exactly that was agreed to. Nothing is guessed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import psycopg

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.core.sql import load_queries
from hub.placement.domain import LimitSet, Patient, masked
from hub.placement.limits import check_patient_limit

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Connection, Database
    from hub.core.principal import Principal
    from hub.placement.service import Placement

_QUERIES = load_queries("hub.placement")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a person has to agree to. `kind` names its words; `token` says exactly what is agreed to."""

    kind: str
    token: str
    what: str
    where: str


@dataclass(frozen=True, slots=True)
class Present:
    """The patient who is at a bed now, with the full name: for those who care for them."""

    patient_id: int
    since: datetime
    name: str
    sex: str
    birth_date: date | None
    hospital_number: str


@dataclass(frozen=True, slots=True)
class Placeable:
    """An admitted device and where it is now (empty: nowhere)."""

    device_id: int
    name: str
    make: str
    model: str
    serial: str
    last_seen: datetime | None
    point_of_care_id: int | None
    ward: str
    ward_name: str
    bed: str

    @property
    def title(self) -> str:
        """Make and model when it told them, else its name."""
        return " ".join(part for part in (self.make, self.model) if part) or self.name


@dataclass(frozen=True, slots=True)
class BedForm:
    """What the page of a bed's admission is made of."""

    present: Present | None
    devices: tuple[Placeable, ...]


class Admissions:
    """Patients and devices at the beds of the wards that a principal may see."""

    def __init__(self, database: "Database", audit: "AuditLog", placement: "Placement") -> None:
        """`database` as the role web."""
        self._database = database
        self.audit = audit
        self._placement = placement

    @policy("patient.admit")
    async def form(self, principal: "Principal", point: int) -> BedForm:
        """Who is at the bed, and every device that can be placed."""
        await self._seen(principal, point)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            present = await _present(connection, point)
            devices = await _devices(connection, tenant)
            if present is not None:
                await self.audit.write(connection, principal, "patient.read", f"patient:{present.patient_id}")
        return BedForm(present, tuple(devices.values()))

    @policy("patient.admit")
    async def admit(
        self,
        principal: "Principal",
        point: int,
        patient: Patient | None,
        devices: Sequence[str],
        agreed: Collection[str],
    ) -> list[Question]:
        """Put a patient (None: whoever is there stays) and exactly these devices at a bed, or return what has to be asked first.

        InvalidError for a patient without number or name, or born in the future, and for a device that is not admitted.
        """
        await self._seen(principal, point)
        if patient is not None:
            _check(patient)
        tenant = tenant_of(principal)
        try:
            async with self._database.transaction(tenant) as connection:
                await connection.execute(_QUERIES["one_at_a_time"], {"tenant": tenant})
                present = await _present(connection, point)
                known = await _devices(connection, tenant)
                wanted = [_find(known, name) for name in dict.fromkeys(devices)]
                asked = [] if patient is None else await _about_patient(connection, tenant, patient, point, present)
                asked += [_elsewhere(device) for device in wanted if device.point_of_care_id not in (None, point)]
                open_questions = [question for question in asked if question.token not in agreed]
                if open_questions:
                    return open_questions
                if patient is not None:
                    await self._place(connection, principal, point, patient, present)
                await self._set_devices(connection, principal, point, wanted, known)
        except psycopg.errors.ExclusionViolation as error:
            raise ConflictError(
                "Somebody else placed the same patient or device at this moment.",
                "Load the page again and look who is there.",
                reason="placement-raced",
            ) from error
        return []

    @policy("patient.admit")
    async def discharge(self, principal: "Principal", point: int, patient_id: int, free: Collection[str]) -> None:
        """End the stay of the patient whom the page showed, and free these devices; ConflictError when another is there."""
        await self._seen(principal, point)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(_QUERIES["one_at_a_time"], {"tenant": tenant})
            present = await _present(connection, point)
            if present is None or present.patient_id != patient_id:
                raise _not_there()
            await self._leave(connection, principal, present.patient_id)
            for device in (await _devices(connection, tenant)).values():
                if device.point_of_care_id == point and device.name in free:
                    await self._free(connection, principal, device)

    @policy("limit.change")
    async def set_limits(self, principal: "Principal", point: int, since: datetime, limits: Sequence[LimitSet]) -> None:
        """Set limits of the patient whose stay began `since`; one without bounds gives back the bed's.

        ConflictError when somebody else is there now, InvalidError for a limit that cannot be.
        """
        await self._seen(principal, point)
        for limit in limits:
            check_patient_limit(limit)
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            present = await _present(connection, point)
            if present is None or abs((present.since - since).total_seconds()) >= 0.001:  # the page has milliseconds
                raise _not_there()
            for limit in limits:
                values = {"code": limit.code, "unit": limit.unit, "low": limit.low, "high": limit.high}
                who = {"tenant": tenant, "patient": present.patient_id, "who": str(principal)}
                await connection.execute(_QUERIES["set_patient_limit"], values | who)
                await self.audit.write(
                    connection, principal, "limit.change", f"patient:{present.patient_id}", {**values, "bed": point}
                )

    async def _seen(self, principal: "Principal", point: int) -> None:
        if point not in await self._placement.points(principal):
            await self.audit.denied(principal, "patient.admit", "bed")
            raise NotFoundError(f"There is no bed {point} that you may see.", "Go back to the ward and choose a bed.")

    async def _place(
        self,
        connection: "Connection",
        principal: "Principal",
        point: int,
        patient: Patient,
        present: Present | None,
    ) -> None:
        tenant = tenant_of(principal)
        row = await (
            await connection.execute(
                _QUERIES["keep_patient"],
                {
                    "tenant": tenant,
                    "hospital_number": patient.hospital_number,
                    "name": patient.name,
                    "sex": patient.sex,
                    "birth_date": patient.birth_date,
                    "paced": patient.paced,
                },
            )
        ).fetchone()
        assert row is not None
        target, details = f"patient:{row[0]}", {"bed": point}
        if present is not None and present.patient_id == row[0]:
            await self.audit.write(connection, principal, "patient.change", target, details)
            return
        if present is not None:
            await self._leave(connection, principal, present.patient_id)
        values = {"tenant": tenant, "patient": row[0], "point": point}
        await connection.execute(_QUERIES["patient_leaves"], values)
        await connection.execute(_QUERIES["patient_comes"], values)
        await self.audit.write(connection, principal, "patient.admit", target, details)

    async def _leave(self, connection: "Connection", principal: "Principal", patient: int) -> None:
        values = {"tenant": tenant_of(principal), "patient": patient, "who": str(principal)}
        # A later stay begins with the limits of its bed, not with those that somebody once chose.
        await connection.execute(_QUERIES["give_back_limits"], values)
        await connection.execute(_QUERIES["patient_leaves"], values)
        await self.audit.write(connection, principal, "patient.discharge", f"patient:{patient}")

    async def _set_devices(
        self,
        connection: "Connection",
        principal: "Principal",
        point: int,
        wanted: Sequence[Placeable],
        known: dict[str, Placeable],
    ) -> None:
        tenant = tenant_of(principal)
        names = {device.name for device in wanted}
        for device in known.values():
            if device.point_of_care_id == point and device.name not in names:
                await self._free(connection, principal, device)
        for device in wanted:
            if device.point_of_care_id != point:
                values = {"tenant": tenant, "device": device.device_id, "point": point}
                await connection.execute(_QUERIES["device_leaves"], values)
                await connection.execute(_QUERIES["device_comes"], values)
                await self.audit.write(
                    connection, principal, "device.place", f"device:{device.device_id}", {"bed": point}
                )

    async def _free(self, connection: "Connection", principal: "Principal", device: Placeable) -> None:
        await connection.execute(_QUERIES["device_leaves"], {"device": device.device_id})
        await self.audit.write(connection, principal, "device.free", f"device:{device.device_id}")


def _check(patient: Patient) -> None:
    for field, text in (("number", patient.hospital_number), ("name", patient.name)):
        if not 1 <= len(text) <= _LONGEST or any(not char.isprintable() for char in text):
            raise InvalidError(
                f"The patient's {field} is empty, or longer than {_LONGEST} characters.", "Type it anew.", reason=field
            )
    today = datetime.now(UTC).date()
    born = patient.birth_date
    # Somewhere on Earth it is tomorrow already.
    if born is not None and ((born - today).days > 1 or today.year - born.year > 130):
        raise InvalidError(f"A birth date of {born} cannot be.", "Look at the year.", reason="birth")


async def _present(connection: "Connection", point: int) -> Present | None:
    row = await (await connection.execute(_QUERIES["patient_at"], {"point": point})).fetchone()
    return None if row is None else Present(*row)


async def _devices(connection: "Connection", tenant: int) -> dict[str, Placeable]:
    rows = await (await connection.execute(_QUERIES["placeable_devices"], {"tenant": tenant})).fetchall()
    return {row[1]: Placeable(*row) for row in rows}


def _find(known: dict[str, Placeable], text: str) -> Placeable:
    """A device by its name, or by the serial number on its label."""
    if text in known:
        return known[text]
    labelled = [device for device in known.values() if device.serial and device.serial == text]
    if len(labelled) == 1:
        return labelled[0]
    raise InvalidError(
        f"There is no admitted device {text!r}.",
        "Choose one of the list, or ask an engineer to admit it in the ledger.",
        reason="device",
    )


async def _about_patient(
    connection: "Connection", tenant: int, patient: Patient, point: int, present: Present | None
) -> list[Question]:
    asked: list[Question] = []
    values = {"tenant": tenant, "number": patient.hospital_number}
    row = await (await connection.execute(_QUERIES["known_patient"], values)).fetchone()
    patient_id = None if row is None else int(row[0])
    if present is not None and present.patient_id != patient_id:
        asked.append(Question("bed_taken", f"bed_taken:{present.patient_id}", masked(present.name), ""))
    if row is None:
        return asked
    _, name, _, birth_date, at, ward, ward_name, bed = row
    differs = name != patient.name or (
        None not in (birth_date, patient.birth_date) and birth_date != patient.birth_date
    )
    if differs:
        was = name if birth_date is None else f"{name}, {birth_date.isoformat()}"
        asked.append(Question("patient_differs", f"patient_differs:{patient_id}:{patient.name}", was, ""))
    if at not in (None, point):
        asked.append(
            Question("patient_elsewhere", f"patient_elsewhere:{ward}/{bed}", masked(name), f"{ward_name} · {bed}")
        )
    return asked


def _elsewhere(device: Placeable) -> Question:
    token = f"device_elsewhere:{device.name}@{device.ward}/{device.bed}"
    return Question("device_elsewhere", token, device.name, f"{device.ward_name} · {device.bed}")


def _not_there() -> ConflictError:
    return ConflictError(
        "The patient whom this page showed is no longer at the bed; nothing was changed.",
        "Load the page again and look who is there.",
        reason="patient-gone",
    )
