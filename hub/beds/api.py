"""The routes of a bed: its page, trends, past strips, alarms, time-line, notes."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from hub.accounts.domain import Person
from hub.alarms.present import people
from hub.beds.present import detail_json, note_json, past_json, timeline_json, trends_json, writers
from hub.beds.service import NOTE_LONGEST
from hub.core.policy import allowed, declares
from hub.wards.present import ward_json
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.beds.present import Json
    from hub.beds.service import Beds
    from hub.local_pages.service import LocalPages
    from hub.wards.service import WardService
    from hub.web.kit import WebKit

_LATEST_MS = 253_402_300_799_000  # the end of the year 9999

Key = Annotated[int, Field(ge=0, le=2**31 - 1)]
Moment = Annotated[int | None, Query(ge=0, le=_LATEST_MS)]
Codes = Annotated[list[str], Query(min_length=1, max_length=12)]
Points = Annotated[int, Query(ge=10, le=2000)]


class Written(BaseModel):
    """Body of a note; `at_ms` is the moment that it is about, now when it is not given."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=4 * NOTE_LONGEST)
    at_ms: int | None = Field(default=None, ge=0, le=_LATEST_MS)


def add_routes(
    router: APIRouter,
    web: "WebKit",
    beds: "Beds",
    wards: "WardService",
    accounts: "Accounts",
    local_pages: "LocalPages",
) -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/ward/{ward}/bed/{bed}")
    @declares("ward.read")
    async def page(request: Request, ward: str, bed: str) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        found, key = await beds.find(person.principal, ward, bed)
        detail = await beds.get(person.principal, key)
        view = await wards.view(person.principal, ward)
        snapshot = ward_json(view, await accounts.names(person.principal, people(view.alarms)))
        may = {
            "timeline": allowed(person.principal, "timeline.read"),
            "note": allowed(person.principal, "note.write"),
            "ledger": allowed(person.principal, "device.list"),
            "limits": allowed(person.principal, "limit.change"),
            "admit": allowed(person.principal, "patient.admit"),
        }
        answer = web.page(
            request,
            "bed",
            person,
            ward={"id": found.slug, "name": found.name},
            bed={"id": bed, "label": bed},
            detail={**detail_json(detail, datetime.now(UTC)), "may": may},
            snapshot=snapshot,
        )
        answer.headers["Content-Security-Policy"] = await local_pages.content_policy(person.principal, found)
        return answer

    @router.get("/api/v1/beds/{key}", response_model=None)
    @declares("ward.read")
    async def told(key: Key, person: Annotated[Person, signed_in]) -> "Json":
        return detail_json(await beds.get(person.principal, key), datetime.now(UTC))

    @router.get("/api/v1/beds/{key}/trends", response_model=None)
    @declares("trend.read")
    async def trends(
        key: Key,
        person: Annotated[Person, signed_in],
        code: Codes,
        from_ms: Moment = None,
        to_ms: Moment = None,
        points: Points = 600,
    ) -> Response:
        found = await beds.trends(person.principal, key, code, (from_ms, to_ms), points)
        names = await accounts.names(person.principal, writers(found.notes, found.alarms))
        return JSONResponse(trends_json(found, names))

    @router.get("/api/v1/beds/{key}/alarms", response_model=None)
    @declares("alarm.read")
    async def alarms(
        key: Key, person: Annotated[Person, signed_in], from_ms: Moment = None, to_ms: Moment = None
    ) -> "Json":
        stay, found = await beds.alarms(person.principal, key, (from_ms, to_ms))
        names = await accounts.names(person.principal, writers((), found))
        return {"alarms": [past_json(past, stay.point.bed, names) for past in found]}

    @router.get("/api/v1/beds/{key}/waveforms", response_model=None)
    @declares("waveform.read")
    async def waveforms(
        key: Key, person: Annotated[Person, signed_in], from_ms: Moment = None, to_ms: Moment = None
    ) -> Response:
        frames = await beds.strips(person.principal, key, (from_ms, to_ms))
        body = b"".join(frame.numbered(number) for number, frame in enumerate(frames))
        return Response(body, media_type="application/octet-stream")

    @router.get("/api/v1/beds/{key}/timeline", response_model=None)
    @declares("timeline.read")
    async def timeline(
        key: Key, person: Annotated[Person, signed_in], from_ms: Moment = None, to_ms: Moment = None
    ) -> Response:
        found = await beds.timeline(person.principal, key, (from_ms, to_ms))
        names = await accounts.names(person.principal, writers(found.notes, found.alarms))
        return JSONResponse(timeline_json(found, names))

    @router.post("/api/v1/beds/{key}/notes", status_code=201, response_model=None)
    @declares("note.write")
    async def write(key: Key, body: Written, person: Annotated[Person, signed_in]) -> "Json":
        note = await beds.write_note(person.principal, key, body.text, body.at_ms)
        return note_json(note, await accounts.names(person.principal, writers((note,), ())))
