"""The routes of the gateways: the page, and the same as JSON. Adding and revoking are commands at the hub's machine."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeAlias

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hub.accounts.domain import Person
from hub.core.policy import allowed, declares
from hub.devices.present import to_ms
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.core.machine import Machine
    from hub.gateways.domain import GatewayRow
    from hub.gateways.listing import GatewayList
    from hub.updates.service import Updates
    from hub.web.kit import WebKit

Json: TypeAlias = dict[str, object]
ROLLOUTS = 3  # on the page; all that the hub keeps stand in the API


def add_routes(
    router: APIRouter, web: "WebKit", gateways: "GatewayList", updates: "Updates", machine: "Machine"
) -> None:
    """Add the routes. `machine`: the hub's own."""

    @router.get("/gateways")
    @declares("gateway.list")
    async def page(request: Request) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        rows = await gateways.find(person.principal)
        return web.page(
            request,
            "gateways",
            person,
            room="gateways",
            gateways=rows,
            rollouts=(await updates.rollouts(person.principal))[:ROLLOUTS],
            may_change=allowed(person.principal, "update.change"),
            now=datetime.now(UTC),
        )

    @router.get("/api/v1/gateways", response_model=None)
    @declares("gateway.list")
    async def listed(person: Annotated[Person, Depends(web.signed_in)]) -> Json:
        now = datetime.now(UTC)
        own = {f"{name}_percent": value for name, value in machine.percent.items()}
        return {
            "gateways": [gateway_json(row, now) for row in await gateways.find(person.principal)],
            "hub": {**own, "warnings": machine.warnings},
        }


def gateway_json(row: "GatewayRow", now: datetime) -> Json:
    """One gateway."""
    return {
        "name": row.name,
        "state": str(row.state(now)),
        "added_ms": to_ms(row.added_at),
        "certificate_until_ms": to_ms(row.certificate_until),
        "certificate_days": row.certificate_days(now),
        "last_stored_ms": to_ms(row.last_stored_at),
        "warnings": row.warnings(now),
        "status_ms": to_ms(row.status_at),
        "status": row.status,
        "waiting": row.waiting,
        "clock_off_ms": row.clock_off_ms,
        "devices": row.devices,
        "throttled_since_ms": to_ms(row.throttled_since),
        "throttled_until_ms": to_ms(row.throttled_until),
        "configuration": None
        if row.configuration is None
        else {
            "version": row.configuration,
            "state": row.configuration_state,
            "reason": row.configuration_reason,
        },
    }
