"""The room of people: who has an account, in which state; inviting, changing, reviewing and ending, for administrators. Works without scripts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import ROLES, Account, AccountState, Invitation, Person, end_of
from hub.core.errors import ConflictError, DomainError, InvalidError, NotFoundError
from hub.core.policy import declares
from hub.core.principal import Role
from hub.web.kit import to_sign_in

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.web.kit import WebKit

Text = Annotated[str, Form(max_length=200)]
Texts = Annotated[list[Annotated[str, Field(max_length=100)]], Form(default_factory=list, max_length=200)]
NEW = "+"  # no account has this name


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the form: as kept, or as typed when it was refused."""

    name: str = ""
    display_name: str = ""
    staff_number: str = ""
    roles: tuple[str, ...] = (Role.NURSE,)
    wards: tuple[str, ...] = ()
    until: str = ""

    @classmethod
    def of(cls, account: Account) -> "Typed":
        """An account as it is."""
        until = account.valid_until
        last_day = "" if until is None else (until.astimezone() - date.resolution).date().isoformat()
        return cls(account.name, account.display_name, account.staff_number, account.roles, account.wards, last_day)

    def invitation(self, *, reset: bool) -> Invitation:
        """What is asked for; InvalidError when it cannot be."""
        try:
            until = end_of(datetime.combine(date.fromisoformat(self.until), time())) if self.until else None
        except (ValueError, OverflowError) as error:
            raise InvalidError(
                f"The last day {self.until!r} is no day.", "Give it as 2026-12-31.", reason="account-until"
            ) from error
        roles = frozenset(Role(one) for one in self.roles if one in ROLES)
        return Invitation(
            self.name.strip().lower(), self.display_name.strip(), roles, self.wards, self.staff_number.strip() or None, reset, until
        )  # fmt: skip


class Page:
    """The page as it is shown after each act."""

    def __init__(self, web: "WebKit", accounts: "Accounts") -> None:
        self._web = web
        self._accounts = accounts

    async def __call__(
        self,
        request: Request,
        person: Person,
        opened: str = "",
        *,
        typed: Typed | None = None,
        link: str = "",
        error: DomainError | None = None,
        only: str = "",
    ) -> Response:
        """Show everybody, and at the side the account that is `opened`, or the form of a new one. `link`: of whom was just invited."""
        now = datetime.now(UTC)
        people = await self._accounts.every(person.principal)
        found = next((one for one in people if one.name == opened), None)
        counts = {state: sum(one.state(now) is state for one in people) for state in AccountState}
        return self._web.page(
            request,
            "people",
            person,
            code=200 if error is None else error.status,
            room="people",
            people=[one for one in people if only in ("", one.state(now))],
            total=len(people),
            counts=counts,
            only=only,
            now=now,
            opened=found,
            is_new=opened == NEW,
            is_own=found is not None and str(found.account_id) == person.principal.id,
            typed=typed or (Typed() if found is None else Typed.of(found)),
            roles=ROLES,
            wards=await self._accounts.wards_there(person.principal),
            link=link,
            error=None if error is None else error.reason,
        )


def add_routes(router: APIRouter, web: "WebKit", accounts: "Accounts") -> None:
    """Add the routes."""
    show = Page(web, accounts)
    signed_in = Depends(web.signed_in)

    @router.get("/people")
    @declares("account.list")
    async def page(
        request: Request,
        opened: Annotated[str, Query(alias="open", max_length=100)] = "",
        state: Annotated[AccountState | None, Query()] = None,
    ) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return await show(request, person, opened, only=state or "")

    @router.post("/people")
    @declares("account.invite")
    async def invite(
        request: Request,
        person: Annotated[Person, signed_in],
        name: Text,
        display_name: Text = "",
        staff_number: Text = "",
        until: Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
        opened: Annotated[str, Form(alias="open", max_length=100)] = NEW,
        *,
        roles: Texts,
        wards: Texts,
        reset: Annotated[bool, Form()] = False,
    ) -> Response:
        typed = Typed(name, display_name, staff_number, tuple(roles), tuple(wards), until)
        try:
            token = await accounts.invite(person.principal, typed.invitation(reset=reset))
        except (ConflictError, InvalidError, NotFoundError) as error:
            return await show(request, person, opened, typed=typed, error=error)
        return await show(request, person, typed.name.strip().lower(), link=web.link(request, f"/welcome/{token}"))

    _add_acts(router, web, accounts, show)


def _add_acts(router: APIRouter, web: "WebKit", accounts: "Accounts", show: Page) -> None:
    signed_in = Depends(web.signed_in)

    async def done(request: Request, person: Person, name: str, act: Callable[..., Awaitable[None]]) -> Response:
        try:
            await act(person.principal, name)
        except NotFoundError:
            return RedirectResponse("/people", 303)
        except ConflictError as error:
            return await show(request, person, name, error=error)
        return RedirectResponse(f"/people?open={quote(name)}", 303)

    @router.post("/people/{name}/review")
    @declares("account.invite")
    async def review(request: Request, person: Annotated[Person, signed_in], name: str) -> Response:
        return await done(request, person, name, accounts.review)

    @router.post("/people/{name}/end-sessions")
    @declares("account.disable")
    async def end_sessions(request: Request, person: Annotated[Person, signed_in], name: str) -> Response:
        return await done(request, person, name, accounts.end_sessions)

    @router.post("/people/{name}/disable")
    @declares("account.disable")
    async def disable(request: Request, person: Annotated[Person, signed_in], name: str) -> Response:
        return await done(request, person, name, accounts.disable)

    @router.post("/people/{name}/close")
    @declares("account.disable")
    async def close(request: Request, person: Annotated[Person, signed_in], name: str) -> Response:
        return await done(request, person, name, accounts.close)
