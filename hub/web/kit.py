"""What every route needs: who is signed in, the reader's language, a template filled in, cookies. Leaves the rest to features."""

import secrets
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hub.accounts.domain import SESSION_LIFE, STEP_LIFE, Person, form_token
from hub.core.errors import DomainError, UnauthenticatedError
from hub.core.policy import allowed
from hub.core.principal import Role
from hub.web.guard import SESSION_COOKIE, VISIT_COOKIE, cookies, form_secret
from hub.web.origin import caller_of
from hub.web.problems import text_key
from hub.web.rail import rooms_for
from protocols.nomenclature import TERMS

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.core.i18n import SharedPages

STEP_COOKIE, _STEP_PATH = "wl_step", "/sign-in"
_SECRET_LENGTH = 43  # of `secrets.token_urlsafe(32)`
LANGUAGE_COOKIE = "wl_lang"
THEME_COOKIE = "wl_theme"
THEMES = ("night", "day", "room")  # room: as the page itself is, night for monitoring and day for the office
_YEAR_S = 365 * 24 * 3600


@cache
def _templates() -> Environment:
    """The templates of the installation: what was compiled for one application serves the next of the process too."""
    return Environment(loader=PackageLoader("hub.web"), autoescape=select_autoescape(), undefined=StrictUndefined)


class WebKit:
    """One for the application."""

    def __init__(self, accounts: "Accounts", shared: "SharedPages", *, public: str, version: str) -> None:
        """`public`: the address of the pages as people type it, or nothing; by https, cookies are sent so only. `version` changes with the scripts."""
        self._public = public.rstrip("/")
        self.accounts = accounts
        self.shared = shared
        self.version = version
        self._secure = public.startswith("https:")

    def secret(self, connection: HTTPConnection) -> str:
        """The session's secret, or nothing."""
        return cookies(connection.headers).get(SESSION_COOKIE, "")

    async def person(self, connection: HTTPConnection) -> Person | None:
        """Who is signed in on this connection."""
        secret = self.secret(connection)
        return await self.accounts.sessions.who(secret, caller_of(connection)) if secret else None

    async def signed_in(self, connection: HTTPConnection) -> Person:
        """Who is signed in; UnauthenticatedError when nobody is. A dependency of routes."""
        found = await self.person(connection)
        if found is None:
            raise UnauthenticatedError("This needs somebody who is signed in.", "Sign in and try again.")
        return found

    def language(self, connection: HTTPConnection) -> str:
        """The reader's language."""
        wanted = cookies(connection.headers).get(LANGUAGE_COOKIE)
        return self.shared.choose(wanted, connection.headers.get("accept-language"))

    def page(
        self, request: Request, template: str, person: Person | None, /, *, code: int = 200, **context: object
    ) -> HTMLResponse:
        """Fill in a template; its head says which context it needs. `code` is the HTTP status."""
        lang = self.language(request)
        words = self.shared.words
        secret = form_secret(cookies(request.headers))
        fresh = "" if secret else secrets.token_urlsafe(32)

        def t(key: str, **params: str | float) -> str:
            return words.text(lang, key, **params)

        def term(code: str) -> str:
            found = TERMS.get(code)
            return code if found is None else found.en if lang == "en" else found.zh_hans

        text = (
            _templates()
            .get_template(f"{template}.html")
            .render(
                t=t,
                term=term,
                utc=_utc,
                lang=lang,
                csrf=form_token(secret or fresh),
                person=None if person is None else {"name": person.display_name, "role": _role(person)},
                path=request.url.path,
                here=_here(request),
                theme=_theme(request),
                rail=rooms_for(None if person is None else person.principal),
                sees_screens=person is not None and allowed(person.principal, "screen.list"),
                status=code,
                words=Markup(words.page_json(lang)),  # noqa: S704  the catalogue escapes what a script element cannot hold
                **context,
            )
        )
        headers = {"Content-Language": "en" if lang == "en" else "zh-Hans", "Vary": "Accept-Language, Cookie"}
        response = HTMLResponse(text, code, headers)
        if fresh:
            response.set_cookie(VISIT_COOKIE, fresh, httponly=True, samesite="lax", secure=self._secure, path="/")
        return response

    def error_page(self, request: Request, error: DomainError, person: Person | None) -> HTMLResponse:
        """The error page in the reader's language."""
        key = text_key(error)
        lang, words = self.language(request), self.shared.words
        if key is None:
            title, detail, to_do = error.title, error.detail, error.what_to_do
        else:
            title, detail, to_do = (words.text(lang, f"error.{key}_{part}") for part in ("title", "detail", "do"))
        reference = str(getattr(error, "reference", ""))
        return self.page(
            request,
            "error",
            person,
            code=error.status,
            title=title,
            detail=detail,
            what_to_do=to_do,
            instance=reference,
        )

    def sign_in(self, response: Response, secret: str) -> None:
        """Give the browser its session."""
        response.set_cookie(
            SESSION_COOKIE,
            secret,
            max_age=int(SESSION_LIFE.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=self._secure,
            path="/",
        )
        response.delete_cookie(VISIT_COOKIE, path="/", httponly=True, samesite="lax", secure=self._secure)
        response.delete_cookie(STEP_COOKIE, path=_STEP_PATH, httponly=True, samesite="strict", secure=self._secure)

    def keep_step(self, response: Response, secret: str, onward: str) -> None:
        """Let the browser go on with a sign-in, and then to `onward`, a path of this hub."""
        response.set_cookie(
            STEP_COOKIE,
            f"{secret}{quote(onward, safe='')}" if secret else "",
            max_age=int(STEP_LIFE.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._secure,
            path=_STEP_PATH,
        )

    def step(self, connection: HTTPConnection) -> tuple[str, str]:
        """The secret of the sign-in that is under way, or nothing; and where it leads."""
        kept = cookies(connection.headers).get(STEP_COOKIE, "")
        return kept[:_SECRET_LENGTH], inside(unquote(kept[_SECRET_LENGTH:]) or "/")

    def link(self, request: Request, path: str) -> str:
        """A whole address to hand on, under the name by which the reader reached the hub unless the hub has one of its own."""
        return f"{self._public or str(request.base_url).rstrip('/')}{path}"

    def sign_out(self, response: Response) -> None:
        """Take the session from the browser."""
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=self._secure)

    def remember_language(self, response: Response, lang: str) -> None:
        """Keep the language that was chosen."""
        self._remember(response, LANGUAGE_COOKIE, lang)

    def remember_theme(self, response: Response, theme: str) -> None:
        """Keep the theme that was chosen, one of THEMES."""
        self._remember(response, THEME_COOKIE, theme)

    def _remember(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, max_age=_YEAR_S, httponly=True, samesite="lax", secure=self._secure, path="/")


def inside(path: str) -> str:
    """`path` when it is one of this hub, else `/`: nobody is led to another site by a link of ours."""
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith("//") or "\\" in path:
        return "/"
    return path


def to_sign_in(request: Request) -> RedirectResponse:
    """Lead to the sign-in page and back."""
    return RedirectResponse(f"/sign-in?next={quote(_here(request))}", 303)


def to_proof(request: Request) -> RedirectResponse:
    """Lead to the page that asks who sits there, and back to the page from which the request came."""
    came = urlsplit(request.headers.get("referer", ""))
    back = f"{came.path}?{came.query}" if came.query else came.path
    own = came.netloc == request.headers.get("host")
    return RedirectResponse(f"/account/prove?next={quote(inside(back) if own else '/')}", 303)


def _here(request: Request) -> str:
    """The address of a request within this hub, with what stands behind `?`."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _utc(ms: int) -> datetime:
    """The moment of integer milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _role(person: Person) -> str:
    return Role.NURSE if Role.NURSE in person.principal.roles else min(person.principal.roles)


def _theme(connection: HTTPConnection) -> str:
    """The theme that was chosen, or "" for the page's own."""
    chosen = cookies(connection.headers).get(THEME_COOKIE, "")
    return chosen if chosen in {"night", "day"} else ""
