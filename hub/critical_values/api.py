"""The routes of critical-value items as JSON: the table in force, versions, which gateway goes by which; making one, putting one in force."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from hub.accounts.domain import Person
from hub.core.policy import declares
from hub.critical_values.domain import changes
from hub.critical_values.present import (
    activation_json,
    changes_json,
    gateway_json,
    in_force_json,
    makers,
    table_json,
    version_json,
)
from models.screening.critical_check import MOST_ITEMS

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.critical_values.present import Json
    from hub.critical_values.service import CriticalValues
    from hub.web.kit import WebKit

Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
Cell = Annotated[str, Field(max_length=1000)] | float | None


class Made(BaseModel):
    """A whole version, made of `based_on`."""

    model_config = ConfigDict(extra="forbid")
    based_on: Number
    reason: str = Field(max_length=2000)
    items: list[dict[Annotated[str, Field(max_length=64)], Cell]] = Field(max_length=2 * MOST_ITEMS)


class Activated(BaseModel):
    """A version that is to be in force, instead of the one that is."""

    model_config = ConfigDict(extra="forbid")
    version: Number
    instead_of: Number
    reason: str = Field(max_length=2000)


def add_routes(router: APIRouter, web: "WebKit", critical: "CriticalValues", accounts: "Accounts") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/critical-values", response_model=None)
    @declares("critical.read")
    async def in_force(person: Annotated[Person, signed_in]) -> "Json":
        found = await critical.in_force(person.principal)
        return in_force_json(found, await accounts.names(person.principal, makers([found.activation])))

    @router.get("/api/v1/critical-values/versions", response_model=None)
    @declares("critical.read")
    async def versions(person: Annotated[Person, signed_in]) -> "Json":
        made, put = await critical.versions(person.principal), await critical.activations(person.principal)
        names = await accounts.names(person.principal, makers([*made, *put]))
        return {
            "versions": [version_json(one, names) for one in made],
            "activations": [activation_json(one, names) for one in put],
            "gateways": [gateway_json(one) for one in await critical.gateways(person.principal)],
        }

    @router.get("/api/v1/critical-values/versions/{version}", response_model=None)
    @declares("critical.read")
    async def one(version: Number, person: Annotated[Person, signed_in]) -> "Json":
        table = await critical.table(person.principal, version)
        now = (await critical.in_force(person.principal)).table
        return {**table_json(table), "changes": changes_json(changes(now, table)), "instead_of": now.version}

    @router.post("/api/v1/critical-values/versions", response_model=None, status_code=201)
    @declares("critical.change")
    async def make(body: Made, person: Annotated[Person, signed_in]) -> "Json":
        return {"version": await critical.make(person.principal, body.based_on, body.items, body.reason)}

    @router.post("/api/v1/critical-values/in-force", response_model=None)
    @declares("critical.activate")
    async def activate(body: Activated, person: Annotated[Person, signed_in]) -> "Json":
        await critical.activate(person.principal, body.version, body.instead_of, body.reason)
        found = await critical.in_force(person.principal)
        return in_force_json(found, await accounts.names(person.principal, makers([found.activation])))
