"""The routes of commands to devices: what one offers and what was asked of it, and asking; the form of its page posts here."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, TypeAlias
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.errors import InvalidError
from hub.core.policy import declares
from hub.device_commands.domain import USUAL_WITHIN_S, Order, values_of_form
from hub.devices.present import to_ms
from protocols.device_command import MAX_WITHIN_S, RefusedError

if TYPE_CHECKING:
    from hub.device_commands.domain import CommandRow
    from hub.device_commands.service import DeviceCommands
    from hub.web.kit import WebKit
    from protocols.device_command import Command

Json: TypeAlias = dict[str, object]
_WAIT_S, _LOOK_S = 3.0, 0.1  # most answers come within: the page then shows them at once


class Asked(BaseModel):
    """Body of `commands`. `id`: of who asks; the same again is the same command."""

    model_config = ConfigDict(extra="forbid")
    id: UUID = Field(default_factory=uuid4)
    code: str = Field(min_length=1, max_length=64)
    parameters: dict[str, StrictBool | StrictInt | StrictFloat | StrictStr] = Field(default_factory=dict, max_length=16)
    within_s: float = Field(default=USUAL_WITHIN_S, gt=0, le=MAX_WITHIN_S, allow_inf_nan=False)


def add_routes(router: APIRouter, web: "WebKit", commands: "DeviceCommands") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/devices/{device_id}/commands", response_model=None)
    @declares("device.list")
    async def told(device_id: int, person: Annotated[Person, signed_in]) -> Json:
        found = await commands.of(person.principal, device_id)
        offers = None if found.offers is None else [_offer(offer) for offer in found.offers]
        return {"offers": offers, "commands": [command_json(row) for row in found.commands]}

    @router.get("/api/v1/devices/{device_id}/commands/{command_id}", response_model=None)
    @declares("device.list")
    async def one(device_id: int, command_id: UUID, person: Annotated[Person, signed_in]) -> Json:
        return command_json(await commands.one(person.principal, device_id, command_id))

    @router.post("/api/v1/devices/{device_id}/commands", response_model=None)
    @declares("device.command")
    async def ask(device_id: int, body: Asked, person: Annotated[Person, signed_in]) -> Json:
        order = Order(body.id, body.code, dict(body.parameters), body.within_s)
        return command_json(await commands.ask(person.principal, device_id, order))

    @router.post("/devices/{device_id}/commands")
    @declares("device.command")
    async def ask_by_form(request: Request, device_id: int, person: Annotated[Person, signed_in]) -> Response:
        texts = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        found = await commands.of(person.principal, device_id)
        offered = {offer.code: offer for offer in found.offers or ()}
        offer = offered.get(texts.get("code", ""))
        try:
            if offer is None:
                raise InvalidError("The device does not offer this any more.", "Load the page again.", reason="command")
            order = Order(UUID(texts.get("id", "")), offer.code, values_of_form(offer, texts))
        except (RefusedError, ValueError) as error:
            raise InvalidError(f"{error}.", "Go back and correct it.", reason="command") from error
        row = await commands.ask(person.principal, device_id, order)
        until_s = time.monotonic() + _WAIT_S
        while row.is_open and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
            row = await commands.one(person.principal, device_id, row.command_id)
        return RedirectResponse(f"/devices/{device_id}?{request.url.query}", 303)


def command_json(row: "CommandRow") -> Json:
    """One command."""
    return {
        "id": str(row.command_id),
        "code": row.code,
        "parameters": row.values,
        "asked_by": row.asked_by,
        "asked_ms": to_ms(row.asked_at),
        "deadline_ms": to_ms(row.deadline),
        "sent_ms": to_ms(row.sent_at),
        "ended_ms": to_ms(row.ended_at),
        "state": row.state,
        "reason": row.reason,
        "details": row.details,
        "seen": row.seen,
    }


def _offer(command: "Command") -> Json:
    return {
        "code": command.code,
        "reads_back": command.reads_back,
        "interrupts": command.interrupts,
        "parameters": [
            {"name": p.name, "kind": p.kind, "unit": p.unit, "low": p.low, "high": p.high, "choices": p.choices}
            for p in command.parameters
        ],
    }
