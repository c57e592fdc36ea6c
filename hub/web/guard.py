"""What stands before every route: headers that tell the browser what it may do, a limit on bodies, and the form token (CSRF).

Pure ASGI, so that streams and WebSockets are not buffered. Headers follow OWASP Secure Headers and the W3C Content Security
Policy (no inline script or style); the token follows OWASP's synchronizer pattern, bound to the cookie.
"""

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.accounts.domain import form_token
from hub.core.errors import DomainError, ForbiddenError, TooLargeError
from hub.web.problems import problem_response

if TYPE_CHECKING:
    from hub.core.db import Database

SESSION_COOKIE = "wl_session"
VISIT_COOKIE = "wl_visit"  # for forms of people who are not signed in yet
MAX_BODY = 64 * 1024

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; media-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; connect-src 'self'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # with "no-referrer" browsers send "Origin: null" with forms, and nobody could sign in
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"


class OneHistory:
    """Lets a request that began before the database was put back end with an error: ids that it has read may be another's."""

    def __init__(self, app: ASGIApp, *, database: "Database") -> None:
        """`database` as the role web."""
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with self._database.in_one_history():
            await self._app(scope, receive, send)


class SecurityHeaders:
    """Adds the headers to every answer; what is not static is never stored by browsers or proxies."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        """`secure`: people reach the pages by https."""
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", content_policy())
                if self._secure:
                    headers["Strict-Transport-Security"] = _HSTS
                if "Cache-Control" not in headers:
                    static = str(scope.get("path", "")).startswith("/static/")
                    headers["Cache-Control"] = "no-cache" if static else "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)


class RequestGuard:
    """Refuses bodies that are too large, requests from other sites, and changes without the form token. Denies by default."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket" and not same_origin(Headers(scope=scope)):
            refusal = ForbiddenError("The request came from another site.", "Open the page itself.", reason="origin")
            await problem_response(refusal, scope["path"])(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            body = await _body(headers, receive)
            check_form(headers, body)
        except DomainError as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, again, send)


def content_policy(also_connect: Iterable[str] = ()) -> str:
    """The Content-Security-Policy of a page; its scripts may also connect to these origins, besides the hub itself."""
    return " ".join((_POLICY, *also_connect))


def cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request; none when they cannot be read."""
    found = SimpleCookie()
    try:
        found.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def form_secret(cookie_values: dict[str, str]) -> str | None:
    """The secret that forms are bound to: the session, else the visit."""
    return cookie_values.get(SESSION_COOKIE) or cookie_values.get(VISIT_COOKIE)


def same_origin(headers: Headers) -> bool:
    """Whether the browser says that the request came from a page of ours; programs that say nothing pass."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def check_form(headers: Headers, body: bytes) -> None:
    """Raise ForbiddenError unless the request carries the token of its cookie (header `X-CSRF-Token` or field `csrf`)."""
    given = headers.get("x-csrf-token", "")
    if not given and headers.get("content-type", "").partition(";")[0].strip() == _FORM:
        given = next(iter(parse_qs(body.decode("latin-1")).get("csrf", [])), "")
    secret = form_secret(cookies(headers))
    if secret and same_origin(headers) and hmac.compare_digest(given.encode(), form_token(secret).encode()):
        return
    raise ForbiddenError(
        "This form is too old, or it is not of this page.",
        "Load the page again and repeat what you did.",
        reason="csrf",
    )


async def _body(headers: Headers, receive: Receive) -> bytes:
    too_large = TooLargeError(f"The request has more than {MAX_BODY} bytes.", "Send less at a time.")
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise too_large
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        more = bool(message.get("more_body", False))
        if _size(parts) > MAX_BODY:
            raise too_large
    return b"".join(parts)


def _size(parts: Iterable[bytes]) -> int:
    return sum(len(part) for part in parts)
