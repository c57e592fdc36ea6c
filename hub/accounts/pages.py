"""The doors: sign-in, sign-out, one-time links. Templates are in hub/web/templates."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hub.accounts.domain import PASSWORD_MIN
from hub.accounts.service import HeldBackError
from hub.core.errors import GoneError, InvalidError, NotFoundError, UnauthenticatedError
from hub.core.policy import declares, public
from hub.web.kit import inside

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.web.kit import WebKit

_LINK_STATES = {"link-used": "used", "link-expired": "expired", "link-unknown": "unknown"}


def add_routes(router: APIRouter, web: "WebKit", accounts: "Accounts") -> None:
    """Add the routes."""
    _sign_in(router, web, accounts)
    _welcome(router, web, accounts)


def _sign_in(router: APIRouter, web: "WebKit", accounts: "Accounts") -> None:

    @router.get("/sign-in")
    @public("who is not signed in must get here")
    async def sign_in_page(request: Request, onward: Annotated[str, Query(alias="next")] = "") -> Response:
        stale = bool(web.secret(request)) and await web.person(request) is None
        error = "expired" if stale and onward else None
        return web.page(request, "sign_in", None, name="", next=onward, error=error)

    @router.post("/sign-in")
    @public("who is not signed in must get here")
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=200)],
        password: Annotated[str, Form(max_length=4096)],
        onward: Annotated[str, Form(alias="next", max_length=2000)] = "",
    ) -> Response:
        try:
            session = await accounts.sign_in(name, password)
        except HeldBackError as error:
            page = web.page(request, "sign_in", None, code=error.status, name=name, next=onward, error="locked")
            page.headers["Retry-After"] = str(max(1, round(error.wait_s)))
            return page
        except UnauthenticatedError as error:
            return web.page(request, "sign_in", None, code=error.status, name=name, next=onward, error="wrong")
        response = RedirectResponse(inside(onward or "/"), 303)
        web.sign_in(response, session.secret)
        return response

    @router.post("/sign-out")
    @declares("session.end")
    async def sign_out(request: Request) -> Response:
        person = await web.signed_in(request)
        await accounts.sign_out(person.principal)
        response = RedirectResponse("/sign-in", 303)
        web.sign_out(response)
        return response


def _welcome(router: APIRouter, web: "WebKit", accounts: "Accounts") -> None:
    @router.get("/welcome/{token}")
    @public("the link itself is the authority")
    async def welcome_page(request: Request, token: str) -> Response:
        return await form(request, token, None, 200)

    @router.post("/welcome/{token}")
    @public("the link itself is the authority")
    async def welcome(
        request: Request,
        token: str,
        password: Annotated[str, Form(max_length=4096)],
        password_again: Annotated[str, Form(max_length=4096)],
    ) -> Response:
        if password != password_again:
            return await form(request, token, "differ", InvalidError.status)
        try:
            session = await accounts.accept(token, password)
        except InvalidError as error:
            fault = "short" if error.reason == "password-short" else "common"
            return await form(request, token, fault, error.status)
        except (GoneError, NotFoundError) as error:
            return closed(request, error)
        response = RedirectResponse("/", 303)
        web.sign_in(response, session.secret)
        return response

    async def form(request: Request, token: str, error: str | None, code: int) -> HTMLResponse:
        try:
            invited = await accounts.invited(token)
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
