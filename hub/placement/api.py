"""The routes of limits of the patient at a bed: what is in force, who set it, and setting it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from hub.accounts.domain import Person
from hub.alarms.store import from_ms
from hub.core.policy import declares
from hub.placement.domain import LimitSet
from hub.placement.present import limits_json, setters
from models.screening.critical_items import Examination
from protocols.nomenclature import TERMS

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.critical_values.service import CriticalValues
    from hub.placement.admission import Admissions
    from hub.placement.present import Json
    from hub.placement.service import Placement
    from hub.web.kit import WebKit

Key = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Wanted(BaseModel):
    """Limits of one measurement in the unit of its term; without bounds those of the bed hold again."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(max_length=64)
    low: float | None = None
    high: float | None = None


class Change(BaseModel):
    """`since_ms` says whose limits are meant: the patient whose stay began then."""

    model_config = ConfigDict(extra="forbid")
    since_ms: int = Field(ge=0, le=253_402_300_799_000)
    limits: list[Wanted] = Field(min_length=1, max_length=20)


def add_routes(
    router: APIRouter,
    web: "WebKit",
    admissions: "Admissions",
    placement: "Placement",
    accounts: "Accounts",
    critical: "CriticalValues",
) -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    async def told(key: int, person: Person) -> "Json":
        now = datetime.now(UTC)
        stay = await placement.stay(person.principal, key, now - timedelta(seconds=1), now)
        limits = (await placement.limits(person.principal, [key])).get(key, [])
        names = await accounts.names(person.principal, setters(limits))
        table = (await critical.in_force(person.principal)).table
        rows = table.of(Examination.MONITORING, await placement.age_group(person.principal, key))
        return limits_json(limits, None if stay.patient_id is None else stay.since, names, rows)

    @router.get("/api/v1/beds/{key}/limits", response_model=None)
    @declares("ward.read")
    async def limits(key: Key, person: Annotated[Person, signed_in]) -> "Json":
        return await told(key, person)

    @router.post("/api/v1/beds/{key}/limits", response_model=None)
    @declares("limit.change")
    async def change(key: Key, body: Change, person: Annotated[Person, signed_in]) -> "Json":
        wanted = [
            LimitSet(one.code, TERMS[one.code].unit if one.code in TERMS else "", one.low, one.high)
            for one in body.limits
        ]
        await admissions.set_limits(person.principal, key, from_ms(body.since_ms), wanted)
        return await told(key, person)
