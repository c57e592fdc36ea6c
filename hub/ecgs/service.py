"""What can be done with resting ECGs: list those of a stay, read one, say which is the newest of each bed.

A file belongs to whoever was at the bed of its device when it was recorded; one whose device was then at no bed that the principal may
see is as if it were not there. Reading is audited: once a session, ECG and ten minutes.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hub.core.errors import NotFoundError
from hub.core.policy import policy
from hub.core.principal import tenant_of
from hub.ecgs.domain import Ecg, EcgRef, measure, read
from hub.ecgs.store import read_ecg, read_ecgs
from models.screening.critical_items import Examination
from models.screening.critical_recording import critical

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database
    from hub.core.principal import Principal
    from hub.critical_values.service import CriticalValues
    from hub.placement.domain import Stay
    from hub.placement.service import Placement

LISTED = 50
_LONGEST_STAY = timedelta(days=366)
_AHEAD = timedelta(minutes=2)  # of a cart's clock that is believed (decision 0078)


class Ecgs:
    """The ECGs of the wards that a principal may see."""

    def __init__(
        self, database: "Database", audit: "AuditLog", placement: "Placement", critical_values: "CriticalValues"
    ) -> None:
        """`database` as the role web."""
        self._database = database
        self._critical = critical_values
        self.audit = audit
        self._placement = placement

    @policy("ecg.read")
    async def get(self, principal: "Principal", document_id: int) -> Ecg:
        """One ECG with whose it is; NotFoundError."""
        tenant = tenant_of(principal)
        async with self._database.transaction(tenant) as connection:
            found = await read_ecg(connection, tenant, document_id)
        whose = None if found is None else await self._placement.whose(principal, found[0].device_id, found[0].at)
        if found is None or whose is None:
            raise NotFoundError(
                f"There is no ECG {document_id} that you may see.",
                "Go back to the bed and choose one of its list, or ask an administrator to assign the ward to you.",
            )
        bed = whose.point.point_of_care_id
        await self.audit.look(principal, "ecg.read", f"document:{document_id}", {"bed": bed})
        ref, content = found
        recording = await asyncio.to_thread(read, content, ref.device)
        reading = await asyncio.to_thread(measure, recording)
        stay = await self._stay(principal, bed)
        # The bed may have another patient by now: then the list would be another's.
        same = stay.patient_id == whose.patient_id
        others = await self._of(tenant, stay, LISTED) if same else []
        table = (await self._critical.in_force(principal)).table
        said = [(one.code, one.value, one.unit) for one in recording.measurements]
        found = critical(said, table, whose.age_group, Examination.ROUTINE_ECG)
        return Ecg(ref, recording, whose.point, whose.who, tuple(others) or (ref,), found, reading)

    @policy("ecg.read")
    async def of_bed(self, principal: "Principal", point: int) -> list[EcgRef]:
        """The ECGs of the stay at a point of care, the newest first; NotFoundError for the bed."""
        return await self._of(tenant_of(principal), await self._stay(principal, point), LISTED)

    @policy("ecg.read")
    async def newest(self, principal: "Principal", points: Iterable[int]) -> Mapping[int, EcgRef]:
        """The newest ECG of each of these points of care that has one, of the stay there."""
        found: dict[int, EcgRef] = {}
        for point in points:
            newest = await self._of(tenant_of(principal), await self._stay(principal, point), 1)
            if newest:
                found[point] = newest[0]
        return found

    async def _stay(self, principal: "Principal", point: int) -> "Stay":
        now = datetime.now(UTC)
        return await self._placement.stay(principal, point, now - _LONGEST_STAY, now + _AHEAD)

    async def _of(self, tenant: int, stay: "Stay", most: int) -> list[EcgRef]:
        async with self._database.transaction(tenant) as connection:
            return await read_ecgs(connection, tenant, stay.spans, most)
