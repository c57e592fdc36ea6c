"""The route by which a ward page learns where it can go when the hub is away."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends

from hub.accounts.domain import Person
from hub.core.policy import declares

if TYPE_CHECKING:
    from hub.local_pages.service import LocalPages
    from hub.wards.service import WardService
    from hub.web.kit import WebKit


def add_routes(router: APIRouter, web: "WebKit", wards: "WardService", pages: "LocalPages") -> None:
    """Add the route."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/ward/{ward}/gateways", response_model=None)
    @declares("ward.read")
    async def gateways(ward: str, person: Annotated[Person, signed_in]) -> dict[str, object]:
        found = await wards.enter(person.principal, ward)
        tickets = await pages.tickets(person.principal, found, person.display_name)
        return {
            "gateways": [
                {
                    "name": page.gateway,
                    "origin": page.origin,
                    "beds": list(page.beds),
                    "ticket": page.ticket,
                    "not_after_ms": page.not_after_s * 1000,
                }
                for page in tickets
            ]
        }
