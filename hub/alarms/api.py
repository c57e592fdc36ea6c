"""The routes of one alarm: what it is, acknowledge it, confirm that a screen has painted it; and its page."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from hub.accounts.domain import Person
from hub.alarms.present import alarm_json, detail_json, people, people_of
from hub.core.policy import declares

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.alarms.present import Json
    from hub.alarms.service import AlarmService
    from hub.placement.domain import Point
    from hub.placement.service import Placement
    from hub.web.kit import WebKit

_LATEST_MS = 253_402_300_799_000  # the end of the year 9999


class Shown(BaseModel):
    """Body of `shown`: when the frame was painted, by the hub's clock."""

    model_config = ConfigDict(extra="forbid")
    painted_ms: int = Field(ge=0, le=_LATEST_MS)


def add_routes(
    router: APIRouter, web: "WebKit", alarms: "AlarmService", placement: "Placement", accounts: "Accounts"
) -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    async def told(person: Person, alarm_id: UUID) -> "tuple[Json, Point]":
        detail = await alarms.get(person.principal, alarm_id)
        point = (await placement.points(person.principal))[detail.alarm.point_of_care_id or 0]
        names = await accounts.names(person.principal, people_of(detail))
        return detail_json(detail, point.bed, names), point

    @router.get("/api/v1/alarms/{alarm_id}", response_model=None)
    @declares("alarm.read")
    async def read(alarm_id: UUID, person: Annotated[Person, signed_in]) -> "Json":
        return (await told(person, alarm_id))[0]

    @router.post("/api/v1/alarms/{alarm_id}/acknowledge", response_model=None)
    @declares("alarm.acknowledge")
    async def acknowledge(alarm_id: UUID, person: Annotated[Person, signed_in]) -> "Json":
        alarm = await alarms.acknowledge(person.principal, alarm_id)
        point = (await placement.points(person.principal))[alarm.point_of_care_id or 0]
        return alarm_json(alarm, point.bed, await accounts.names(person.principal, people([alarm])))

    @router.post("/api/v1/alarms/{alarm_id}/shown", status_code=204, response_model=None)
    @declares("alarm.shown")
    async def shown(alarm_id: UUID, body: Shown, person: Annotated[Person, signed_in]) -> Response:
        await alarms.shown(person.principal, alarm_id, body.painted_ms)
        return Response(status_code=204)

    @router.get("/alarm/{alarm_id}")
    @declares("alarm.read")
    async def page(request: Request, alarm_id: UUID, person: Annotated[Person, signed_in]) -> Response:
        alarm, point = await told(person, alarm_id)
        ward = {"id": point.ward.slug, "name": point.ward.name}
        bed = {"id": point.bed, "label": point.bed}
        onset = datetime.fromtimestamp(int(str(alarm["onset_ms"])) / 1000, UTC)
        patient = await placement.who_was(person.principal, point.point_of_care_id, onset)
        return web.page(request, "alarm", person, ward=ward, bed=bed, who=patient and asdict(patient), alarm=alarm)
