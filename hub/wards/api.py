"""The routes of a ward: its page, its state, its event stream and its strips."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request, WebSocket
from starlette.responses import RedirectResponse, Response, StreamingResponse

from hub.accounts.domain import Person
from hub.alarms.present import people
from hub.core.policy import declares, public
from hub.wards.present import ward_json
from hub.web.kit import to_sign_in
from hub.web.rail import home_of

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.local_pages.service import LocalPages
    from hub.placement.service import Placement
    from hub.wards.present import Json
    from hub.wards.service import WardService
    from hub.wards.sse import EventStreams
    from hub.wards.ws import WaveStreams
    from hub.web.kit import WebKit


def add_routes(
    router: APIRouter,
    web: "WebKit",
    wards: "WardService",
    placement: "Placement",
    accounts: "Accounts",
    events: "EventStreams",
    waves: "WaveStreams",
    local_pages: "LocalPages",
) -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    async def told(person: Person, ward: str) -> "Json":
        view = await wards.view(person.principal, ward)
        return ward_json(view, await accounts.names(person.principal, people(view.alarms)))

    @router.get("/")
    @public("it only leads on")
    async def home(request: Request) -> Response:
        person = await web.person(request)
        return RedirectResponse("/sign-in" if person is None else home_of(person.principal), 303)

    @router.get("/ward")
    @declares("ward.read")
    async def first(request: Request) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        seen = await placement.wards(person.principal)
        if not seen:
            none_yet = await accounts.wards(person.principal) is None  # who sees all, and there are none
            return web.page(request, "no_ward", person, room="ward", none_yet=none_yet)
        return RedirectResponse(f"/ward/{seen[0].slug}", 303)

    @router.get("/ward/{ward}")
    @declares("ward.read")
    async def page(request: Request, ward: str) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        snapshot = await told(person, ward)
        found = await wards.enter(person.principal, ward)
        answer = web.page(request, "ward", person, ward=snapshot["ward"], snapshot=snapshot)
        answer.headers["Content-Security-Policy"] = await local_pages.content_policy(person.principal, found)
        return answer

    @router.get("/api/v1/ward/{ward}", response_model=None)
    @declares("ward.read")
    async def state(ward: str, person: Annotated[Person, signed_in]) -> "Json":
        return await told(person, ward)

    @router.get("/sse/ward/{ward}", response_model=None)
    @declares("ward.read")
    async def stream(request: Request, ward: str, person: Annotated[Person, signed_in]) -> StreamingResponse:
        found = await wards.enter(person.principal, ward)
        start = await events.start(person, web.secret(request), found, request.headers.get("last-event-id"))
        return StreamingResponse(
            events.stream(start),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
        )

    @router.websocket("/ws/ward/{ward}")
    @declares("waveform.read")
    async def strips(socket: WebSocket, ward: str) -> None:
        person = await web.signed_in(socket)
        found = await wards.enter(person.principal, ward)
        await waves.serve(socket, person, web.secret(socket), found)
