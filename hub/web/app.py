"""The application of the role web: features put together, what stands before every route, tasks that run beside them.

Called by the composition root with the database and settings; nothing is made at import.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from hub.accounts import own_pages, people_pages
from hub.accounts import pages as account_pages
from hub.accounts.own import Own
from hub.accounts.passkeys import Passkeys
from hub.accounts.proofs import Proofs
from hub.accounts.service import Accounts
from hub.accounts.sign_in import SignIn
from hub.alarms import api as alarm_api
from hub.alarms.follower import AlarmFollower
from hub.alarms.service import AlarmService
from hub.beds import api as bed_api
from hub.beds.service import Beds
from hub.clocks import api as clock_api
from hub.clocks.service import Clocks
from hub.core.ending import end_all
from hub.core.errors import DomainError, InvalidError, NotFoundError, StepUpError, UnauthenticatedError
from hub.core.i18n import SharedPages, load_shared_pages
from hub.core.live_copies import subscribe_all
from hub.core.machine import Machine
from hub.core.policy import public
from hub.critical_values import api as critical_api
from hub.critical_values import pages as critical_pages
from hub.critical_values.service import CriticalValues
from hub.device_commands import api as command_api
from hub.device_commands.service import DeviceCommands
from hub.devices import api as device_api
from hub.devices.service import Devices
from hub.ecgs import api as ecg_api
from hub.ecgs.service import Ecgs
from hub.gateways import api as gateway_api
from hub.gateways.listing import GatewayList
from hub.local_pages import api as local_page_api
from hub.local_pages.service import LocalPages
from hub.operations import api as operation_api
from hub.operations.service import Operations
from hub.placement import api as limit_api
from hub.placement import pages as admission_pages
from hub.placement.admission import Admissions
from hub.placement.service import Placement
from hub.quarantine import api as quarantine_api
from hub.quarantine.service import Quarantine
from hub.queries import api as query_api
from hub.queries.service import Asking
from hub.screens import api as screen_api
from hub.screens.service import Screens
from hub.updates import api as update_api
from hub.updates.service import Updates
from hub.views.service import SavedViews
from hub.wards import api as ward_api
from hub.wards.room import Room
from hub.wards.service import WardService
from hub.wards.sse import EventStreams
from hub.wards.ws import WaveStreams
from hub.web import preferences
from hub.web.guard import OneHistory, RequestGuard, SecurityHeaders
from hub.web.kit import WebKit, to_proof, to_sign_in
from hub.web.notices import hear
from hub.web.origin import KnownOrigin
from hub.web.problems import domain_error, problem_response
from hub.web.times import FunctionTimes

if TYPE_CHECKING:
    from hub.app import Services
    from hub.core.db import Database
    from hub.settings import HubSettings

_AGAIN_S = 0.5
_STREAMS = ("/api/", "/sse/", "/ws/", "/health")


def create_app(services: "Services", settings: "HubSettings", shared: SharedPages | None = None) -> FastAPI:
    """Make the application; `shared` is found in the installation unless it is given."""
    shared = load_shared_pages() if shared is None else shared
    database, audit = services.database, services.audit
    accounts = Accounts(database, audit, map(str, settings.inside_networks))
    placement = Placement(database, audit, accounts)
    alarms = AlarmService(database, audit, placement)
    follower = AlarmFollower(database)
    room = Room(database, placement, follower)
    critical = CriticalValues(database, audit)
    ecgs = Ecgs(database, audit, placement, critical)
    wards = WardService(database, audit, placement, alarms, ecgs, room)
    secure = settings.web_public.startswith("https:")
    web = WebKit(accounts, shared, public=settings.web_public, version=pages_version(shared.static))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        tasks = [
            asyncio.create_task(_keep_up("alarms", follower.run)),
            asyncio.create_task(_keep_up("live", lambda: room.run(subscribe_all(services.live_path)))),
            asyncio.create_task(_keep_up("room", room.tend)),
            asyncio.create_task(machine.watch()),
            asyncio.create_task(_keep_up("notices", lambda: hear(database, follower.look, room.placement_changed))),
        ]
        try:
            yield
        finally:
            room.close()
            await end_all(tasks)

    machine = Machine()
    # No generated pages of the API: they load scripts from elsewhere. docs/reference/http-api.md lists every route.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.room = room
    app.state.machine = machine
    _add_people(app, web, services, accounts, settings)
    preferences.add_routes(app.router, web)
    _add_ledger(app, web, services, machine)
    alarm_api.add_routes(app.router, web, alarms, placement, accounts)
    beds = Beds(database, audit, placement, alarms, wards, room)
    local_pages = LocalPages(database, audit, services.ticket_key)
    bed_api.add_routes(app.router, web, beds, wards, accounts, local_pages)
    _add_bedside(app, web, services, placement, beds, critical)
    ecg_api.add_routes(app.router, web, ecgs)
    screen_api.add_routes(app.router, web, Screens(database, audit, placement), accounts)
    events = EventStreams(room, follower, accounts, web.version, database.history)
    ward_api.add_routes(
        app.router, web, wards, placement, accounts, events, WaveStreams(room, wards, accounts), local_pages
    )
    _add_numbers(app, web, services, placement)
    local_page_api.add_routes(app.router, web, wards, local_pages)

    @app.get("/health", response_model=None)
    @public("load balancers ask it; it tells nothing but yes")
    async def health() -> dict[str, str]:
        async with database.connection() as connection:
            await connection.execute(b"select 1")
        return {"status": "ok", "version": web.version}

    static = public("style sheets and scripts hold no data")(StaticFiles(directory=shared.static))
    app.mount("/static", static, name="static")
    _tell_errors(app, web)
    _stand_before(app, database, secure=secure)

    def begin_anew() -> None:
        follower.begin_anew()
        room.begin_anew()

    database.history.on_another(begin_anew)
    return app


def _add_people(app: FastAPI, web: WebKit, services: "Services", accounts: Accounts, settings: "HubSettings") -> None:
    """Who gets in, and what people do with their own account."""
    database, audit, sessions = services.database, services.audit, accounts.sessions
    proofs = Proofs(services.passwords, services.codes, Passkeys(settings.page_origin))
    sign_in = SignIn(database, audit, proofs, sessions, settings.second_factor)
    account_pages.add_routes(app.router, web, sign_in, sessions)
    people_pages.add_routes(app.router, web, accounts)
    own_pages.add_routes(app.router, web, Own(database, audit, proofs), sessions)


def _stand_before(app: FastAPI, database: "Database", *, secure: bool) -> None:
    """What every request passes, the innermost first."""
    app.add_middleware(OneHistory, database=database)
    app.add_middleware(RequestGuard)
    app.add_middleware(KnownOrigin)
    app.add_middleware(SecurityHeaders, secure=secure)
    app.add_middleware(FunctionTimes)


def _add_ledger(app: FastAPI, web: WebKit, services: "Services", machine: Machine) -> None:
    """What engineers work with: devices and their clocks, gateways, the quarantine."""
    database, audit = services.database, services.audit
    views = SavedViews(database, audit)
    commands = DeviceCommands(database, audit)
    device_api.add_routes(app.router, web, Devices(database, audit), views, commands)
    command_api.add_routes(app.router, web, commands)
    clock_api.add_routes(app.router, web, Clocks(database, audit))
    updates = Updates(database, audit)
    gateway_api.add_routes(app.router, web, GatewayList(database, audit), updates, machine)
    update_api.add_routes(app.router, web, updates)
    quarantine_api.add_routes(app.router, web, Quarantine(database, audit), views)


def _add_bedside(
    app: FastAPI, web: WebKit, services: "Services", placement: Placement, beds: Beds, critical: CriticalValues
) -> None:
    """Who is at a bed, and by what is alarmed: the limits of that patient, and the items of all."""
    database, audit, accounts = services.database, services.audit, web.accounts
    admissions = Admissions(database, audit, placement)
    admission_pages.add_routes(app.router, web, admissions, beds)
    limit_api.add_routes(app.router, web, admissions, placement, accounts, critical)
    critical_api.add_routes(app.router, web, critical, accounts)
    critical_pages.add_routes(app.router, web, critical, accounts)


def _add_numbers(app: FastAPI, web: WebKit, services: "Services", placement: Placement) -> None:
    """Queries for what was measured of patients, and what the hub measured of itself."""
    database, audit = services.database, services.audit
    query_api.add_routes(app.router, web, Asking(database, audit, placement))
    operation_api.add_routes(app.router, web, Operations(database, audit))


async def _keep_up(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task for ever: a page must not go dumb because one message was odd."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001  whatever it was is in the log, and the task goes on
            structlog.get_logger().exception("web-task-failed", task=name)
        await asyncio.sleep(_AGAIN_S)


def pages_version(static: Path) -> str:
    """Version of the distribution and of what browsers load, so that an open page notices an upgrade."""
    digest = hashlib.sha256()
    for path in sorted(static.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(static).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{version('wardlink')}+{digest.hexdigest()[:12]}"


def _tell_errors(app: FastAPI, web: WebKit) -> None:
    async def tell(connection: HTTPConnection, raised: Exception) -> Response:
        error = _readable(raised) if isinstance(raised, RequestValidationError) else domain_error(raised)
        path = connection.url.path
        if isinstance(connection, WebSocket):
            answer = problem_response(error, path)
            await connection.send_denial_response(answer)
            return answer
        request = cast("Request", connection)
        wants_page = "text/html" in request.headers.get("accept", "") and not path.startswith(_STREAMS)
        if not wants_page:
            return problem_response(error, path)
        if isinstance(error, UnauthenticatedError) and request.method == "GET":
            return to_sign_in(request)
        if isinstance(error, StepUpError):
            return to_proof(request)
        person = None if error.status >= 500 else await web.person(request)
        return web.error_page(request, error, person)

    for kind in (DomainError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, tell)


def _readable(error: RequestValidationError) -> DomainError:
    """A request that does not fit its route: a wrong address when the path is at fault, else the first wrong field."""
    first = cast("dict[str, object]", error.errors()[0])
    where = tuple(str(part) for part in cast("tuple[object, ...]", first["loc"]))
    if where[0] == "path":
        return NotFoundError("There is nothing at this address.", "Check the address, or go back to the ward.")
    return InvalidError(f"{'.'.join(where)}: {first['msg']}", "See docs/reference/http-api.md.")
