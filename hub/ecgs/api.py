"""The routes of resting ECGs: the 12-lead view, the same as JSON, and the list of a bed's stay."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import declares
from hub.ecgs.domain import pick
from hub.ecgs.present import ecg_json, ref_json
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.ecgs.service import Ecgs
    from hub.web.kit import WebKit

Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
Key = Annotated[int, Field(ge=0, le=2**31 - 1)]
Codes = Annotated[list[str] | None, Query(max_length=12)]


def add_routes(router: APIRouter, web: "WebKit", ecgs: "Ecgs") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/ecg/{document}")
    @declares("ecg.read")
    async def page(request: Request, document: Number) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return web.page(request, "ecg", person, ecg=ecg_json(await ecgs.get(person.principal, document)))

    @router.get("/api/v1/ecgs/{document}", response_model=None)
    @declares("ecg.read")
    async def told(document: Number, person: Annotated[Person, signed_in], lead: Codes = None) -> Response:
        ecg = await ecgs.get(person.principal, document)
        return JSONResponse(ecg_json(replace(ecg, recording=pick(ecg.recording, lead or ()))))

    @router.get("/api/v1/beds/{key}/ecgs", response_model=None)
    @declares("ecg.read")
    async def of_bed(key: Key, person: Annotated[Person, signed_in]) -> Response:
        return JSONResponse({"ecgs": [ref_json(ref) for ref in await ecgs.of_bed(person.principal, key)]})
