"""The routes of operations: the page, and the same as JSON."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from hub.accounts.domain import Person
from hub.core.policy import declares
from hub.operations.domain import Span
from hub.operations.present import told_json
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.operations.present import Json
    from hub.operations.service import Operations
    from hub.web.kit import WebKit


def add_routes(router: APIRouter, web: "WebKit", operations: "Operations") -> None:
    """Add the routes."""

    @router.get("/operations")
    @declares("operations.read")
    async def page(request: Request, span: Annotated[Span, Query()] = Span.HOUR) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        told = await operations.told(person.principal, span)
        return web.page(request, "operations", person, room="operations", told=told, spans=list(Span))

    @router.get("/api/v1/operations", response_model=None)
    @declares("operations.read")
    async def told(
        person: Annotated[Person, Depends(web.signed_in)], span: Annotated[Span, Query()] = Span.HOUR
    ) -> "Json":
        return told_json(await operations.told(person.principal, span))
