"""The doors: sign-in with its steps, sign-out, one-time links. Templates are in hub/web/templates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import segno
from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hub.accounts.domain import Need, Session
from hub.accounts.passkeys import ANSWER_MAX
from hub.accounts.proofs import HeldBackError
from hub.accounts.strength import PASSWORD_MIN
from hub.core.errors import GoneError, InvalidError, NotFoundError, UnauthenticatedError
from hub.core.policy import declares, public
from hub.web.kit import inside
from hub.web.origin import caller_of

if TYPE_CHECKING:
    from hub.accounts.sessions import Sessions
    from hub.accounts.sign_in import SettingUp, SignIn, Step
    from hub.web.kit import WebKit

_LINK_STATES = {"link-used": "used", "link-expired": "expired", "link-unknown": "unknown"}
_STEP = "/sign-in/step"
Typed = Annotated[str, Form(max_length=4096)]


def add_routes(router: APIRouter, web: "WebKit", sign_in: "SignIn", sessions: "Sessions") -> None:
    """Add the routes."""
    doors = Doors(web, sign_in)
    _sign_in(router, doors, sessions)
    _steps(router, doors)
    _welcome(router, doors)


def picture(setting_up: "SettingUp") -> str:
    """What an application scans, as an address that an `img` takes."""
    return segno.make(setting_up.address, error="m").svg_data_uri(scale=4, border=2)


class Doors:
    """What the routes of the way in have in common."""

    def __init__(self, web: "WebKit", sign_in: "SignIn") -> None:
        self.web = web
        self.sign_in = sign_in

    def reached(self, reached: "Session | Step", onward: str) -> Response:
        """Lead into the hub, or to the step that is next."""
        if isinstance(reached, Session):
            response = RedirectResponse(onward, 303)
            self.web.sign_in(response, reached.secret)
            return response
        response = RedirectResponse(_STEP, 303)
        self.web.keep_step(response, reached.secret, onward)
        return response

    def step_page(self, request: Request, need: str, error: str | None, code: int, **context: object) -> HTMLResponse:
        """The page of a step."""
        usual: dict[str, object] = {
            "qr": "",
            "secret": "",
            "codes": (),
            "onward": "",
            "sign_in_name": "",
            "passkey": "",
        }
        told = usual | context
        return self.web.page(request, "step", None, code=code, need=need, error=error, min_length=PASSWORD_MIN, **told)

    async def show(self, request: Request, step: "Step", error: str | None = None, code: int = 200) -> Response:
        """The page of the step that a sign-in is at."""
        context: dict[str, object] = {"sign_in_name": step.name}
        if step.need is Need.ENROL:
            setting_up = await self.sign_in.set_up(step.secret)
            context |= {"qr": picture(setting_up), "secret": setting_up.secret}
        if step.need is Need.SECOND:
            context["passkey"] = await self.sign_in.passkey_asked(step)
        return self.step_page(request, step.need, error, code, **context)

    def told_codes(self, request: Request, reached: "Session | Step", codes: Sequence[str], onward: str) -> Response:
        """The recovery codes, which are told this once; the session has begun meanwhile."""
        is_in = isinstance(reached, Session)
        page = self.step_page(request, "recovery", None, 200, codes=codes, onward=onward if is_in else _STEP)
        if isinstance(reached, Session):
            self.web.sign_in(page, reached.secret)
        return page

    async def go_on(self, request: Request, step: "Step", typed: str, passkey: str, onward: str) -> Response:
        """Take what was typed at this step, a code or a new password; or the answer of an authenticator."""
        if step.need is Need.ENROL:
            reached, codes = await self.sign_in.confirm(step.secret, typed, caller_of(request))
            return self.told_codes(request, reached, codes, onward)
        if passkey:
            return self.reached(await self.sign_in.with_passkey(step.secret, passkey, caller_of(request)), onward)
        take = self.sign_in.with_code if step.need is Need.SECOND else self.sign_in.renew
        return self.reached(await take(step.secret, typed, caller_of(request)), onward)


def _sign_in(router: APIRouter, doors: Doors, sessions: "Sessions") -> None:
    web = doors.web

    @router.get("/sign-in")
    @public("who is not signed in must get here")
    async def sign_in_page(
        request: Request, onward: Annotated[str, Query(alias="next")] = "", why: Annotated[str, Query()] = ""
    ) -> Response:
        secret = web.secret(request)
        stale = bool(secret) and await web.person(request) is None
        error = "over" if why == "over" else None
        why_ended = await sessions.why_ended(secret) if stale else ""
        if why_ended in ("elsewhere", "moved"):
            error = why_ended
        elif stale and onward:
            error = "expired"
        return web.page(request, "sign_in", None, name="", next=onward, error=error)

    @router.post("/sign-in")
    @public("who is not signed in must get here")
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=200)],
        password: Typed,
        onward: Annotated[str, Form(alias="next", max_length=2000)] = "",
    ) -> Response:
        try:
            reached = await doors.sign_in.with_password(name, password, caller_of(request))
        except HeldBackError as error:
            page = web.page(request, "sign_in", None, code=error.status, name=name, next=onward, error="locked")
            page.headers["Retry-After"] = str(max(1, round(error.wait_s)))
            return page
        except UnauthenticatedError as error:
            return web.page(request, "sign_in", None, code=error.status, name=name, next=onward, error="wrong")
        return doors.reached(reached, inside(onward or "/"))

    @router.post("/sign-out")
    @declares("session.end")
    async def sign_out(request: Request) -> Response:
        person = await web.signed_in(request)
        await sessions.sign_out(person.principal)
        response = RedirectResponse("/sign-in", 303)
        web.sign_out(response)
        return response


def _steps(router: APIRouter, doors: Doors) -> None:
    web, sign_in = doors.web, doors.sign_in

    @router.get(_STEP)
    @public("the secret of the step is the authority")
    async def step_page(request: Request) -> Response:
        secret, _ = web.step(request)
        try:
            step = await sign_in.step(secret)
        except UnauthenticatedError:
            return RedirectResponse("/sign-in?why=over", 303)
        return await doors.show(request, step)

    @router.post(_STEP)
    @public("the secret of the step is the authority")
    async def go_on(
        request: Request,
        code: Typed = "",
        password: Typed = "",
        password_again: Typed = "",
        passkey: Annotated[str, Form(max_length=ANSWER_MAX)] = "",
    ) -> Response:
        secret, onward = web.step(request)
        try:
            step = await sign_in.step(secret)
        except UnauthenticatedError:
            return RedirectResponse("/sign-in?why=over", 303)
        renews = step.need is Need.RENEW
        if renews and password != password_again:
            return await doors.show(request, step, "differ", InvalidError.status)
        try:
            return await doors.go_on(request, step, password if renews else code, passkey, onward)
        except HeldBackError as error:
            page = await doors.show(request, step, "locked", error.status)
            page.headers["Retry-After"] = str(max(1, round(error.wait_s)))
            return page
        except UnauthenticatedError as error:
            return await doors.show(request, step, "passkey" if passkey else "wrong", error.status)
        except InvalidError as error:
            return await doors.show(request, step, error.reason.removeprefix("password-"), error.status)


def _welcome(router: APIRouter, doors: Doors) -> None:
    web = doors.web

    @router.get("/welcome/{token}")
    @public("the link itself is the authority")
    async def welcome_page(request: Request, token: str) -> Response:
        return await form(request, token, None, 200)

    @router.post("/welcome/{token}")
    @public("the link itself is the authority")
    async def welcome(request: Request, token: str, password: Typed, password_again: Typed) -> Response:
        if password != password_again:
            return await form(request, token, "differ", InvalidError.status)
        try:
            reached = await doors.sign_in.accept(token, password, caller_of(request))
        except InvalidError as error:
            return await form(request, token, error.reason.removeprefix("password-"), error.status)
        except (GoneError, NotFoundError) as error:
            return closed(request, error)
        return doors.reached(reached, "/")

    async def form(request: Request, token: str, error: str | None, code: int) -> HTMLResponse:
        try:
            invited = await doors.sign_in.invited(token)
        except (GoneError, NotFoundError) as refused:
            return closed(request, refused)
        return web.page(
            request,
            "welcome",
            None,
            code=code,
            state="open",
            display_name=invited.display_name,
            sign_in_name=invited.name,
            min_length=PASSWORD_MIN,
            error=error,
        )

    def closed(request: Request, error: GoneError | NotFoundError) -> HTMLResponse:
        return web.page(
            request,
            "welcome",
            None,
            code=error.status,
            state=_LINK_STATES[error.reason],
            display_name="",
            sign_in_name="",
            min_length=PASSWORD_MIN,
            error=None,
        )
