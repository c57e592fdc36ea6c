"""The routes of the ledger: its page with filters in the address, one device at the side, the same as JSON and CSV, and its acts."""

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.policy import allowed, declares
from hub.device_commands.present import COMMANDS, PARAMETERS
from hub.devices.domain import PAGE_ROWS, Column, Device, DeviceState, Door, Filters, columns_of
from hub.devices.present import detail_json, device_json, head_of, listing_json, row_of
from hub.views.api import add_view_routes
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.device_commands.service import DeviceCommands
    from hub.devices.present import Json
    from hub.devices.service import Devices
    from hub.views.service import SavedViews
    from hub.web.kit import WebKit


def _filters(
    columns: Annotated[list[Annotated[str, Field(max_length=400)]], Query(default_factory=list, max_length=100)],
    q: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[DeviceState | None, Query()] = None,
    door: Annotated[Door | None, Query()] = None,
    gateway: Annotated[str, Query(max_length=100)] = "",
    ward: Annotated[str, Query(max_length=100)] = "",
    battery: Annotated[str, Query(pattern="^(low)?$")] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Filters:
    """The filters and columns of the address."""
    return Filters(q, state or "", door or "", gateway, ward, battery, page, columns_of(columns))


Asked = Annotated[Filters, Depends(_filters)]


def add_routes(
    router: APIRouter, web: "WebKit", devices: "Devices", views: "SavedViews", commands: "DeviceCommands"
) -> None:
    """Add the routes."""
    add_view_routes(router, web, views, "devices", "device.list", _filters)
    _pages(router, web, devices, views, commands)
    signed_in = Depends(web.signed_in)

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


def _pages(
    router: APIRouter, web: "WebKit", devices: "Devices", views: "SavedViews", commands: "DeviceCommands"
) -> None:
    signed_in = Depends(web.signed_in)

    @router.get("/devices")
    @declares("device.list")
    async def page(request: Request, filters: Asked, undo: int = 0) -> Response:
        return await show(request, filters, None, undo)

    @router.get("/devices/{device_id}")
    @declares("device.list")
    async def one(request: Request, device_id: int, filters: Asked) -> Response:
        return await show(request, filters, device_id)

    async def show(request: Request, filters: Filters, device_id: int | None, undo: int = 0) -> Response:
        """`undo`: a view that was just deleted or replaced; the page offers to put it back."""
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        if len(request.query_params.getlist("columns")) > 1:  # as a form of tick boxes sends them
            return RedirectResponse(f"{request.url.path}?{filters.query()}", 303)
        listing = await devices.find(person.principal, filters)
        pages = -(-listing.found // PAGE_ROWS)
        if filters.page > max(pages, 1):
            return RedirectResponse(f"{request.url.path}?{filters.query(page=pages)}", 303)
        detail = None if device_id is None else await devices.get(person.principal, device_id)
        return web.page(
            request,
            "devices",
            person,
            room="devices",
            filters=filters,
            shelf=await views.shelf(person.principal, "devices", undo),
            listing=listing,
            detail=detail,
            told=None if device_id is None else await commands.of(person.principal, device_id),
            may_command=allowed(person.principal, "device.command"),
            new_id=uuid4,
            command_words=COMMANDS,
            parameter_words=PARAMETERS,
            now=datetime.now(UTC),
            states=list(DeviceState),
            doors=list(Door),
            columns=list(Column),
            may_admit=allowed(person.principal, "device.admit"),
            pages=pages,
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
        out, now = io.StringIO(), datetime.now(UTC)
        out.write("\ufeff")  # spreadsheet programs take it for UTF-8 then
        writer = csv.writer(out)
        writer.writerow(head_of(filters.columns))

        def take(found: list[Device]) -> None:
            writer.writerows(row_of(device, filters.columns, now) for device in found)

        await devices.export(person.principal, filters, take)
        return Response(
            out.getvalue(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="devices.csv"'},
        )
