"""The routes of the quarantine: its page with one record at the side, the same as JSON, and its acts on a record or a group."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import allowed, declares
from hub.quarantine.domain import NEVER_STORED, PAGE_ROWS, REASONS, Filters, HeldState, hex_rows
from hub.quarantine.present import group_json, held_json
from hub.views.api import add_view_routes
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.quarantine.present import Json
    from hub.quarantine.service import Quarantine
    from hub.views.service import SavedViews
    from hub.web.kit import WebKit

_ID = "/{quarantine_id}"


def _filters(
    state: Annotated[HeldState | None, Query()] = HeldState.HELD,
    reason: Annotated[str, Query(max_length=100)] = "",
    device: Annotated[str, Query(max_length=200)] = "",
    gateway: Annotated[str, Query(max_length=100)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Filters:
    """The filters of the address."""
    return Filters(state or "", reason, device, gateway, page)


Asked = Annotated[Filters, Depends(_filters)]


def add_routes(router: APIRouter, web: "WebKit", quarantine: "Quarantine", views: "SavedViews") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)
    add_view_routes(router, web, views, "quarantine", "quarantine.read", _filters)
    _pages(router, web, quarantine, views)

    @router.get("/api/v1/quarantine", response_model=None)
    @declares("quarantine.read")
    async def listed(filters: Asked, person: Annotated[Person, signed_in]) -> "Json":
        items, found = await quarantine.find(person.principal, filters)
        groups = await quarantine.groups(person.principal)
        return {
            "items": [held_json(item) for item in items],
            "found": found,
            "groups": [group_json(group) for group in groups],
        }

    @router.get(f"/api/v1/quarantine{_ID}", response_model=None)
    @declares("quarantine.read")
    async def told(quarantine_id: int, person: Annotated[Person, signed_in]) -> "Json":
        held, data = await quarantine.get(person.principal, quarantine_id)
        return {**held_json(held), "bytes": data.hex()}

    @router.post(f"/api/v1/quarantine{_ID}/release", status_code=202, response_model=None)
    @declares("quarantine.decide")
    async def release(quarantine_id: int, person: Annotated[Person, signed_in]) -> "Json":
        await quarantine.release(person.principal, quarantine_id)
        return {"state": HeldState.RELEASING}

    @router.post(f"/api/v1/quarantine{_ID}/discard", response_model=None)
    @declares("quarantine.decide")
    async def discard(quarantine_id: int, person: Annotated[Person, signed_in]) -> "Json":
        await quarantine.discard(person.principal, quarantine_id)
        return {"state": HeldState.DISCARDED}

    @router.post(f"/api/v1/quarantine{_ID}/put-back", response_model=None)
    @declares("quarantine.decide")
    async def put_back(quarantine_id: int, person: Annotated[Person, signed_in]) -> "Json":
        records = await quarantine.put_back(person.principal, quarantine_id)
        return {"state": HeldState.HELD, "records": records}


def _pages(router: APIRouter, web: "WebKit", quarantine: "Quarantine", views: "SavedViews") -> None:
    signed_in = Depends(web.signed_in)

    @router.get("/quarantine")
    @declares("quarantine.read")
    async def page(request: Request, filters: Asked, discarded: int = 0, undo: int = 0) -> Response:
        return await show(request, filters, None, discarded, undo)

    @router.get(f"/quarantine{_ID}")
    @declares("quarantine.read")
    async def one(request: Request, quarantine_id: int, filters: Asked) -> Response:
        return await show(request, filters, quarantine_id)

    async def show(
        request: Request, filters: Filters, quarantine_id: int | None, discarded: int = 0, undo: int = 0
    ) -> Response:
        """`discarded`: a record that a press has just discarded, `undo`: a view that was removed; the page offers to put them back."""
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        items, found = await quarantine.find(person.principal, filters)
        opened = None if quarantine_id is None else await quarantine.get(person.principal, quarantine_id)
        undone = quarantine_id or discarded
        return web.page(
            request,
            "quarantine",
            person,
            room="quarantine",
            filters=filters,
            shelf=await views.shelf(person.principal, "quarantine", undo),
            groups=await quarantine.groups(person.principal),
            items=items,
            found=found,
            pages=-(-found // PAGE_ROWS),
            held=None if opened is None else opened[0],
            rows=[] if opened is None else hex_rows(opened[1]),
            states=list(HeldState),
            reasons=REASONS,
            never_stored=NEVER_STORED,
            discarded=(undone, await quarantine.discarded_with(person.principal, undone) if undone else 0),
            may_decide=allowed(person.principal, "quarantine.decide"),
        )

    @router.post("/quarantine/release")
    @declares("quarantine.decide")
    async def release_group(
        device: Annotated[str, Form()], reason: Annotated[str, Form()], person: Annotated[Person, signed_in]
    ) -> Response:
        await quarantine.release_group(person.principal, device, reason)
        return RedirectResponse("/quarantine", 303)

    @router.post("/quarantine/discard")
    @declares("quarantine.decide")
    async def discard_group(
        device: Annotated[str, Form()], reason: Annotated[str, Form()], person: Annotated[Person, signed_in]
    ) -> Response:
        one = await quarantine.discard_group(person.principal, device, reason)
        return RedirectResponse("/quarantine" if one is None else f"/quarantine?discarded={one}", 303)

    @router.post(f"/quarantine{_ID}/release")
    @declares("quarantine.decide")
    async def release(quarantine_id: int, filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        await quarantine.release(person.principal, quarantine_id)
        return RedirectResponse(f"/quarantine/{quarantine_id}?{filters.query()}", 303)

    @router.post(f"/quarantine{_ID}/discard")
    @declares("quarantine.decide")
    async def discard(quarantine_id: int, filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        await quarantine.discard(person.principal, quarantine_id)
        return RedirectResponse(f"/quarantine?discarded={quarantine_id}&{filters.query()}", 303)

    @router.post(f"/quarantine{_ID}/put-back")
    @declares("quarantine.decide")
    async def put_back(quarantine_id: int, filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        await quarantine.put_back(person.principal, quarantine_id)
        return RedirectResponse(f"/quarantine?{filters.query()}", 303)
