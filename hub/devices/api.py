"""The routes of the ledger: its page with filters in the address, one device at the side, the same as JSON and CSV, and its acts."""

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import allowed, declares
from hub.devices.domain import PAGE_ROWS, Device, DeviceState, Door, Filters
from hub.devices.present import COLUMNS, detail_json, device_json, listing_json, row_of
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.devices.present import Json
    from hub.devices.service import Devices
    from hub.web.kit import WebKit


def _filters(
    q: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[DeviceState | None, Query()] = None,
    door: Annotated[Door | None, Query()] = None,
    gateway: Annotated[str, Query(max_length=100)] = "",
    ward: Annotated[str, Query(max_length=100)] = "",
    battery: Annotated[str, Query(pattern="^(low)?$")] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Filters:
    """The filters of the address."""
    return Filters(q, state or "", door or "", gateway, ward, battery, page)


Asked = Annotated[Filters, Depends(_filters)]


def add_routes(router: APIRouter, web: "WebKit", devices: "Devices") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    @router.get("/devices")
    @declares("device.list")
    async def page(request: Request, filters: Asked) -> Response:
        return await show(request, filters, None)

    @router.get("/devices/{device_id}")
    @declares("device.list")
    async def one(request: Request, device_id: int, filters: Asked) -> Response:
        return await show(request, filters, device_id)

    async def show(request: Request, filters: Filters, device_id: int | None) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        listing = await devices.find(person.principal, filters)
        detail = None if device_id is None else await devices.get(person.principal, device_id)
        return web.page(
            request,
            "devices",
            person,
            room="devices",
            filters=filters,
            listing=listing,
            detail=detail,
            now=datetime.now(UTC),
            states=list(DeviceState),
            doors=list(Door),
            may_admit=allowed(person.principal, "device.admit"),
            pages=-(-listing.found // PAGE_ROWS),
        )

    @router.post("/devices/{device_id}/admit")
    @declares("device.admit")
    async def admit(device_id: int, filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        await devices.admit(person.principal, device_id)
        return RedirectResponse(f"/devices/{device_id}?{filters.query()}", 303)

    @router.post("/devices/{device_id}/retire")
    @declares("device.admit")
    async def retire(device_id: int, filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        await devices.retire(person.principal, device_id)
        return RedirectResponse(f"/devices/{device_id}?{filters.query()}", 303)

    @router.get("/devices.csv")
    @declares("device.list")
    async def export(filters: Asked, person: Annotated[Person, signed_in]) -> Response:
        found = await devices.export(person.principal, filters)
        return Response(
            _csv(found, datetime.now(UTC)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="devices.csv"'},
        )

    @router.get("/api/v1/devices", response_model=None)
    @declares("device.list")
    async def listed(filters: Asked, person: Annotated[Person, signed_in]) -> "Json":
        return listing_json(await devices.find(person.principal, filters), datetime.now(UTC))

    @router.get("/api/v1/devices/{device_id}", response_model=None)
    @declares("device.list")
    async def told(device_id: int, person: Annotated[Person, signed_in]) -> "Json":
        return detail_json(await devices.get(person.principal, device_id), datetime.now(UTC))

    @router.post("/api/v1/devices/{device_id}/admit", response_model=None)
    @declares("device.admit")
    async def admit_told(device_id: int, person: Annotated[Person, signed_in]) -> "Json":
        await devices.admit(person.principal, device_id)
        return device_json((await devices.get(person.principal, device_id)).device, datetime.now(UTC))

    @router.post("/api/v1/devices/{device_id}/retire", response_model=None)
    @declares("device.admit")
    async def retire_told(device_id: int, person: Annotated[Person, signed_in]) -> "Json":
        await devices.retire(person.principal, device_id)
        return device_json((await devices.get(person.principal, device_id)).device, datetime.now(UTC))


def _csv(devices: list[Device], now: datetime) -> str:
    out = io.StringIO()
    out.write("\ufeff")  # spreadsheet programs take it for UTF-8 then
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows(row_of(device, now) for device in devices)
    return out.getvalue()
