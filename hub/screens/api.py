"""The routes of open ward pages: a page tells of itself, and the list for engineers."""

from typing import TYPE_CHECKING, Annotated, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from hub.accounts.domain import Person
from hub.alarms.present import account_of
from hub.alarms.store import to_us
from hub.core.policy import declares
from hub.screens.domain import SoundState

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.screens.service import Screens
    from hub.web.kit import WebKit

Json: TypeAlias = dict[str, object]


class Told(BaseModel):
    """Body of what a page tells."""

    model_config = ConfigDict(extra="forbid")
    sound: SoundState


def add_routes(router: APIRouter, web: "WebKit", screens: "Screens", accounts: "Accounts") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.post("/api/v1/ward/{ward}/screens/{screen}", status_code=204, response_model=None)
    @declares("screen.tell")
    async def tell(ward: str, screen: UUID, body: Told, person: Annotated[Person, signed_in]) -> Response:
        await screens.tell(person.principal, ward, screen, body.sound)
        return Response(status_code=204)

    @router.delete("/api/v1/ward/{ward}/screens/{screen}", status_code=204, response_model=None)
    @declares("screen.tell")
    async def close(ward: str, screen: UUID, person: Annotated[Person, signed_in]) -> Response:
        await screens.close(person.principal, ward, screen)
        return Response(status_code=204)

    @router.get("/api/v1/screens", response_model=None)
    @declares("screen.list")
    async def listed(person: Annotated[Person, signed_in]) -> Json:
        found = await screens.open(person.principal)
        ids = {number for one in found if (number := account_of(one.who)) is not None}
        names = await accounts.names(person.principal, ids)
        return {
            "screens": [
                {
                    "id": one.screen_id,
                    "ward": {"id": one.ward, "name": one.ward_name},
                    "who": names.get(account_of(one.who) or 0, one.who),
                    "sound": one.sound.value,
                    "since_ms": to_us(one.sound_since) // 1000,
                    "seen_ms": to_us(one.seen_at) // 1000,
                    "silent": one.is_silent,
                }
                for one in found
            ]
        }
