"""The routes by which a room lets people keep views of its table; the room gives its filters, which are all that is ever kept."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import allowed, check, declares
from hub.views.domain import Filtered

if TYPE_CHECKING:
    from hub.views.service import SavedViews
    from hub.web.kit import WebKit


def add_view_routes(
    router: APIRouter, web: "WebKit", views: "SavedViews", room: str, action: str, asked: Callable[..., Filtered]
) -> None:
    """Add the routes of a room at `/ROOM`. `action`: what its page needs; `asked`: reads its filters from the address."""

    async def inside(person: Annotated[Person, Depends(web.signed_in)]) -> Person:
        if not allowed(person.principal, action):
            await views.audit.denied(person.principal, action, "role")
        check(person.principal, action)
        return person

    someone = Depends(inside)
    here = Depends(asked)

    @router.post(f"/{room}/views")
    @declares("view.keep")
    async def save(
        name: Annotated[str, Form(max_length=400)],
        filters: Annotated[Filtered, here],
        person: Annotated[Person, someone],
    ) -> Response:
        replaced = await views.save(person.principal, room, name, filters.query(page=1))
        return _back(room, filters.query(page=1), replaced)

    @router.post(f"/{room}/views/{{view_id}}/remove")
    @declares("view.keep")
    async def remove(view_id: int, filters: Annotated[Filtered, here], person: Annotated[Person, someone]) -> Response:
        await views.remove(person.principal, room, view_id)
        return _back(room, filters.query(), view_id)

    @router.post(f"/{room}/views/{{view_id}}/put-back")
    @declares("view.keep")
    async def put_back(view_id: int, person: Annotated[Person, someone]) -> Response:
        found = await views.put_back(person.principal, room, view_id)
        return _back(room, found.query, None)


def _back(room: str, query: str, undo: int | None) -> RedirectResponse:
    """The table as it stood, with an offer to undo where something was removed."""
    parts = [part for part in (query, f"undo={undo}" if undo else "") if part]
    return RedirectResponse(f"/{room}?{'&'.join(parts)}" if parts else f"/{room}", 303)
