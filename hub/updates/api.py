"""The routes of updates: rollouts as JSON, and what a person does with one. Releases are added by command: they are large, and come from elsewhere."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import declares
from hub.devices.present import to_ms
from hub.updates.domain import GatewayPart

if TYPE_CHECKING:
    from hub.updates.domain import GatewayRow
    from hub.updates.service import RolloutRow, Updates
    from hub.web.kit import WebKit

Json: TypeAlias = dict[str, object]


def add_routes(router: APIRouter, web: "WebKit", updates: "Updates") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/api/v1/updates", response_model=None)
    @declares("update.read")
    async def listed(person: Annotated[Person, signed_in]) -> Json:
        releases = await updates.releases(person.principal)
        return {
            "rollouts": [rollout_json(row) for row in await updates.rollouts(person.principal)],
            "releases": [
                {
                    "version": one.version,
                    "digest": one.digest.hex(),
                    "python": one.python,
                    "machine": one.machine,
                    "size": one.size,
                    "signers": one.signers.split(),
                    "added_ms": to_ms(one.added_at),
                }
                for one in releases
            ],
        }

    @router.post("/api/v1/updates/{rollout_id}/{act}", response_model=None)
    @declares("update.change")
    async def done(rollout_id: int, act: str, person: Annotated[Person, signed_in]) -> Json:
        return rollout_json(await updates.act(person.principal, rollout_id, act))

    @router.post("/updates/{rollout_id}/{act}")
    @declares("update.change")
    async def pressed(rollout_id: int, act: str, person: Annotated[Person, signed_in]) -> Response:
        await updates.act(person.principal, rollout_id, act)
        return RedirectResponse("/gateways", 303)


def rollout_json(row: "RolloutRow") -> Json:
    """One rollout."""
    return {
        "id": row.rollout_id,
        "version": row.version,
        "state": str(row.state),
        "reason": row.reason,
        "state_ms": to_ms(row.state_at),
        "stages": row.stages,
        "stage": row.stage,
        "of_stages": row.of_stages,
        "soak_s": row.soak_s,
        "acts": row.acts,
        "counts": {str(state): row.count(state) for state in GatewayPart},
        "gateways": [_gateway_json(one) for one in row.gateways],
    }


def _gateway_json(one: "GatewayRow") -> Json:
    return {
        "name": one.name,
        "stage": one.stage + 1,
        "state": str(one.state),
        "reason": one.reason,
        "state_ms": to_ms(one.state_at),
        "well": one.well,
    }
