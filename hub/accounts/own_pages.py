"""The page of the own account: sessions, password, second factor, recovery codes. Works without scripts."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.accounts.own import Shown
from hub.accounts.pages import Typed, picture
from hub.accounts.passkeys import ANSWER_MAX
from hub.accounts.sign_in import SettingUp
from hub.accounts.strength import PASSWORD_MIN
from hub.core.errors import DomainError, InvalidError, NotFoundError, UnauthenticatedError
from hub.core.policy import declares
from hub.web.kit import inside, to_sign_in

if TYPE_CHECKING:
    from hub.accounts.own import Own
    from hub.accounts.sessions import Sessions
    from hub.web.kit import WebKit

_ACTS = ("password", "second", "passkey", "recovery")
_DONE = ("password", "session", "passkey")


class Page:
    """The page as it is shown after each act."""

    def __init__(self, web: "WebKit", own: "Own", sessions: "Sessions") -> None:
        self._web = web
        self._own = own
        self._sessions = sessions

    async def __call__(
        self,
        request: Request,
        person: Person,
        act: str | None = None,
        error: DomainError | None = None,
        *,
        done: str | None = None,
        codes: Sequence[str] = (),
        setting_up: SettingUp | None = None,
    ) -> Response:
        """Show it, with what was refused at the form that is open."""
        if act == "second" and setting_up is None:
            setting_up = await self._own.set_up(person.principal)
        return self._web.page(
            request,
            "account",
            person,
            code=200 if error is None else error.status,
            room="account",
            own=await self._own.account(person.principal),
            sessions=await self._sessions.live(person.principal),
            done=done,
            act=act,
            error=None if error is None else error.reason.removeprefix("password-"),
            min_length=PASSWORD_MIN,
            qr="" if setting_up is None else picture(setting_up),
            secret="" if setting_up is None else setting_up.secret,
            codes=codes,
            passkey=await self._own.passkey_asked(person.principal) if act == "passkey" else "",
        )


def add_routes(router: APIRouter, web: "WebKit", own: "Own", sessions: "Sessions") -> None:
    """Add the routes."""
    show = Page(web, own, sessions)
    _add_sessions(router, web, sessions, show)
    _add_proofs(router, web, own, show)
    _add_passkeys(router, web, own, show)
    _add_prove(router, web, own)


def _add_sessions(router: APIRouter, web: "WebKit", sessions: "Sessions", show: Page) -> None:
    signed_in = Depends(web.signed_in)

    @router.get("/account")
    @declares("account.own")
    async def page(request: Request, act: Annotated[str, Query()] = "", done: Annotated[str, Query()] = "") -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return await show(request, person, act if act in _ACTS else None, done=done if done in _DONE else None)

    @router.post("/account/sessions/{session_id}/end")
    @declares("account.own")
    async def end(request: Request, person: Annotated[Person, signed_in], session_id: UUID) -> Response:
        del request
        try:
            await sessions.end(person.principal, str(session_id))
        except NotFoundError:
            return RedirectResponse("/account", 303)  # it has ended meanwhile, which is what was wanted
        return RedirectResponse("/account?done=session", 303)


def _add_proofs(router: APIRouter, web: "WebKit", own: "Own", show: Page) -> None:
    signed_in = Depends(web.signed_in)

    @router.post("/account/password")
    @declares("account.own")
    async def change_password(
        request: Request,
        person: Annotated[Person, signed_in],
        current: Typed,
        password: Typed,
        password_again: Typed,
        code: Typed = "",
    ) -> Response:
        if password != password_again:
            differ = InvalidError("The two are not the same.", "Type them again.", reason="password-differ")
            return await show(request, person, "password", differ)
        try:
            await own.change_password(person.principal, Shown(current, code), password)
        except (InvalidError, UnauthenticatedError) as error:
            return await show(request, person, "password", error)
        return RedirectResponse("/account?done=password", 303)

    @router.post("/account/second")
    @declares("account.own")
    async def set_second(
        request: Request,
        person: Annotated[Person, signed_in],
        secret: Annotated[str, Form(pattern=r"^[A-Z2-7]{32}$")],
        new_code: Typed,
        current: Typed,
        code: Typed = "",
    ) -> Response:
        try:
            codes = await own.confirm(person.principal, Shown(current, code), secret, new_code)
        except UnauthenticatedError as error:
            return await show(request, person, "second", error, setting_up=await own.set_up(person.principal, secret))
        return await show(request, person, codes=codes)

    @router.post("/account/recovery")
    @declares("account.own")
    async def new_recovery(
        request: Request, person: Annotated[Person, signed_in], current: Typed, code: Typed = ""
    ) -> Response:
        try:
            codes = await own.new_recovery_codes(person.principal, Shown(current, code))
        except UnauthenticatedError as error:
            return await show(request, person, "recovery", error)
        return await show(request, person, codes=codes)


def _add_passkeys(router: APIRouter, web: "WebKit", own: "Own", show: Page) -> None:
    signed_in = Depends(web.signed_in)

    @router.post("/account/passkeys")
    @declares("account.own")
    async def add_passkey(
        request: Request,
        person: Annotated[Person, signed_in],
        current: Typed,
        code: Typed = "",
        name: Annotated[str, Form(max_length=200)] = "",
        passkey: Annotated[str, Form(max_length=ANSWER_MAX)] = "",
    ) -> Response:
        try:
            await own.add_passkey(person.principal, Shown(current, code), name, passkey)
        except UnauthenticatedError as error:
            return await show(request, person, "passkey", error)
        return RedirectResponse("/account?done=passkey", 303)

    @router.post("/account/passkeys/{factor}/remove")
    @declares("account.own")
    async def remove_passkey(
        person: Annotated[Person, signed_in], factor: Annotated[int, Path(ge=1, le=2**31 - 1)]
    ) -> Response:
        with suppress(NotFoundError):  # it is gone, which is what was wanted
            await own.remove_passkey(person.principal, factor)
        return RedirectResponse("/account", 303)


def _add_prove(router: APIRouter, web: "WebKit", own: "Own") -> None:
    signed_in = Depends(web.signed_in)

    @router.get("/account/prove")
    @declares("account.own")
    async def prove_page(
        request: Request, onward: Annotated[str, Query(alias="next", max_length=2000)] = ""
    ) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return await ask(request, person, onward)

    @router.post("/account/prove")
    @declares("account.own")
    async def prove(
        request: Request,
        person: Annotated[Person, signed_in],
        current: Typed,
        code: Typed = "",
        onward: Annotated[str, Form(alias="next", max_length=2000)] = "",
    ) -> Response:
        try:
            await own.prove(person.principal, Shown(current, code))
        except UnauthenticatedError as error:
            return await ask(request, person, onward, error)
        return RedirectResponse(inside(onward or "/"), 303)

    async def ask(request: Request, person: Person, onward: str, error: DomainError | None = None) -> Response:
        return web.page(
            request,
            "prove",
            person,
            code=200 if error is None else error.status,
            next=inside(onward or "/"),
            has_second=bool((await own.account(person.principal)).factors),
            error=None if error is None else error.reason,
        )
