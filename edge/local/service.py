"""Every request to the local page: who may ask what, and the answer. Nothing of a patient without a ticket for the ward.

A ticket comes as `Authorization: Bearer`, of a WebSocket as a sub-protocol beside `wardlink` (a browser can send no header there),
so that it stands in no address and no log. Requests carry no cookie that lets anybody in: no other site can act for somebody.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from edge.health.metrics import LOCAL_REFUSED
from edge.local import streams
from edge.local.http import Answer, Request, Upgrade, is_handshake
from edge.local.present import Json, alarm_json, detail_json, dump, ward_json
from edge.local.room import Alarm, Room
from protocols.record import AlarmCondition, Presence
from protocols.ticket import Ticket, TicketError

if TYPE_CHECKING:
    from edge.local.pages import Pages
    from edge.local.terms import Terms

Acknowledge = Callable[[AlarmCondition, str], None]

PROTOCOL = "wardlink"
TICKET_PROTOCOL = "ticket."
MAY_ACKNOWLEDGE = frozenset({"nurse", "doctor"})  # as hub.core.policy has it, which checks again
_LANGUAGE, _THEME = "wl_lang", "wl_theme"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RefusedError(Exception):
    """A request that gets no answer but why."""

    def __init__(self, status: HTTPStatus, reason: str, text: str) -> None:
        super().__init__(text)
        self.status, self.reason = status, reason


class LocalPage:
    """The handler. `acknowledge` is the agent's: called with an alarm that nobody has seen, and the ticket."""

    def __init__(
        self,
        room: Room,
        terms: "Terms",
        pages: "Pages",
        acknowledge: Acknowledge,
        machine: Callable[[], Json] = dict,
    ) -> None:
        """`machine`: how the gateway's machine is (edge/health/vitals.py)."""
        self._room, self._terms, self._pages, self._acknowledge = room, terms, pages, acknowledge
        self._machine = machine

    async def handle(self, request: Request) -> Answer | Upgrade:
        """Answer one request."""
        try:
            allowed = self._origin(request)
            answer = Answer(HTTPStatus.NO_CONTENT, {}) if request.method == "OPTIONS" else self._route(request)
        except RefusedError as error:
            LOCAL_REFUSED.labels(reason=error.reason).inc()
            if error.reason == "origin":
                return self.problem(request, error.status, str(error))
            allowed, answer = self._origin(request), self.problem(request, error.status, str(error))
        if isinstance(answer, Upgrade):
            return answer
        return Answer(answer.status, {**_HEADERS, **allowed, **answer.headers}, answer.body, answer.stream)

    def problem(self, request: Request | None, status: HTTPStatus, text: str) -> Answer:
        """An RFC 9457 document."""
        body: Json = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": text}
        if request is not None:
            body["instance"] = request.path
        headers = {**_HEADERS, "Content-Type": "application/problem+json"}
        if status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return Answer(status, headers, dump(body))

    def _origin(self, request: Request) -> dict[str, str]:
        """The headers of the Fetch standard's CORS protocol for the hub's pages; RefusedError for pages of anybody else."""
        origin = request.fields.get("origin")
        if origin is None or urlsplit(origin).netloc == request.fields.get("host"):
            return {"Vary": "Origin"}
        if not self._terms.origin or origin != self._terms.origin:
            raise RefusedError(HTTPStatus.FORBIDDEN, "origin", "the request came from a page of another site")
        found = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if request.method == "OPTIONS":
            found["Access-Control-Allow-Methods"] = "GET, POST"
            found["Access-Control-Allow-Headers"] = "authorization, content-type, last-event-id, x-csrf-token"
            found["Access-Control-Max-Age"] = "600"
            if request.fields.get("access-control-request-private-network") == "true":
                found["Access-Control-Allow-Private-Network"] = "true"
        return found

    def _route(self, request: Request) -> Answer | Upgrade:
        path = request.path
        if request.method in ("GET", "HEAD"):
            if path == "/":
                return self._frame(request)
            if path.startswith("/static/"):
                return self._static(request, path.removeprefix("/static/"))
            if path.startswith("/lang/"):
                return _chosen(_LANGUAGE, path.removeprefix("/lang/"), self._pages.words.languages)
            if path.startswith("/theme/"):
                return _chosen(_THEME, path.removeprefix("/theme/"), ("night", "day"))
        for method, pattern, work in self._guarded():
            found = pattern.fullmatch(path)
            if found and method == request.method:
                return work(request, *(unquote(part) for part in found.groups()))
            if found:
                raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "method", f"expected {method}")
        raise RefusedError(HTTPStatus.NOT_FOUND, "path", "there is nothing at this address")

    def _guarded(self) -> "tuple[tuple[str, re.Pattern[str], Callable[..., Answer | Upgrade]], ...]":
        """What needs a ticket."""
        return (
            ("GET", _WARD, self._state),
            ("GET", _EVENTS, self._events),
            ("GET", _STRIPS, self._strips),
            ("GET", _ALARM, self._alarm),
            ("POST", _SEEN, self._see),
            ("POST", _SHOWN, self._shown),
        )

    def _admit(self, text: str, ward: str | None) -> Ticket:
        try:
            ticket = self._terms.admit(text)
        except TicketError as error:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, error.reason, f"the ticket does not admit: {error}") from error
        if ward is not None and ticket.ward != ward:
            raise RefusedError(HTTPStatus.FORBIDDEN, "ward", f"the ticket is for the ward {ticket.ward}")
        return ticket

    def _bearer(self, request: Request, ward: str | None = None) -> tuple[Ticket, str]:
        scheme, _, text = request.fields.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "no-ticket", "expected a ticket of the hub; its ward page has a link"
            )
        return self._admit(text.strip(), ward), text.strip()

    def _state(self, request: Request, ward: str) -> Answer:
        ticket, _ = self._bearer(request, ward)
        return _json({**ward_json(self._room, ward, ticket.ward_name), "gateway": self._machine()})

    def _events(self, request: Request, ward: str) -> Answer:
        ticket, _ = self._bearer(request, ward)
        last = request.fields.get("last-event-id")
        holds = partial(self._terms.holds, ticket)
        stream = streams.events(self._room, ward, last, self._pages.version, holds)
        return Answer(HTTPStatus.OK, {"Content-Type": "text/event-stream"}, stream=stream)

    def _strips(self, request: Request, ward: str) -> Upgrade:
        if not is_handshake(request.fields):
            raise RefusedError(HTTPStatus.UPGRADE_REQUIRED, "handshake", "expected a WebSocket of version 13")
        offered = [part.strip() for part in request.fields.get("sec-websocket-protocol", "").split(",")]
        tickets = [part.removeprefix(TICKET_PROTOCOL) for part in offered if part.startswith(TICKET_PROTOCOL)]
        if len(tickets) != 1 or PROTOCOL not in offered:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "no-ticket", f"expected the sub-protocols {PROTOCOL}, ticket.TICKET"
            )
        holds = partial(self._terms.holds, self._admit(tickets[0], ward))
        since_ms = _number(parse_qs(request.query).get("since_ms", ["0"])[0])
        return Upgrade(PROTOCOL, partial(streams.strips, self._room, ward, since_ms, holds))

    def _alarm(self, request: Request, identity: str) -> Answer:
        ticket, _ = self._bearer(request)
        return _json(detail_json(self._room, self._found(ticket, identity)))

    def _see(self, request: Request, identity: str) -> Answer:
        """Acknowledge: the first one stays, as at the hub."""
        ticket, text = self._bearer(request)
        if MAY_ACKNOWLEDGE.isdisjoint(ticket.roles):
            raise RefusedError(HTTPStatus.FORBIDDEN, "role", "acknowledging is for nurses and doctors")
        alarm = self._found(ticket, identity)
        if alarm.seen is None:
            self._acknowledge(alarm.now, text)
        elif alarm.shown_as is Presence.ENDED and alarm.seen.by != ticket.name:
            raise RefusedError(HTTPStatus.CONFLICT, "over", "this alarm has ended and has been acknowledged")
        return _json(alarm_json(alarm))

    def _shown(self, request: Request, identity: str) -> Answer:
        """The page tells its paint to whomever it has; only the hub keeps it."""
        ticket, _ = self._bearer(request)
        self._found(ticket, identity)
        return Answer(HTTPStatus.NO_CONTENT, {})

    def _found(self, ticket: Ticket, identity: str) -> Alarm:
        try:
            alarm = self._room.alarm(ticket.ward, UUID(identity))
        except ValueError:
            alarm = None
        if alarm is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "alarm", f"there is no alarm {identity[:64]} in this ward here")
        return alarm

    def _frame(self, request: Request) -> Answer:
        lang = self._pages.choose(_cookie(request.fields, _LANGUAGE), request.fields.get("accept-language"))
        theme = "day" if _cookie(request.fields, _THEME) == "day" else "night"
        body = self._pages.frame(lang, theme, self._room.gateway)
        return Answer(HTTPStatus.OK, {"Content-Type": "text/html; charset=utf-8"}, body)

    def _static(self, request: Request, name: str) -> Answer:
        file = self._pages.files.get(name)
        if file is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "path", "there is nothing at this address")
        headers = {"Content-Type": file.media_type, "ETag": file.tag, "Cache-Control": "no-cache"}
        if request.fields.get("if-none-match") == file.tag:
            return Answer(HTTPStatus.NOT_MODIFIED, headers)
        return Answer(HTTPStatus.OK, headers, file.content)


_WARD = re.compile(r"/api/v1/ward/([^/]+)")
_EVENTS = re.compile(r"/sse/ward/([^/]+)")
_STRIPS = re.compile(r"/ws/ward/([^/]+)")
_ALARM = re.compile(r"/api/v1/alarms/([^/]+)")
_SEEN = re.compile(r"/api/v1/alarms/([^/]+)/acknowledge")
_SHOWN = re.compile(r"/api/v1/alarms/([^/]+)/shown")


def _chosen(name: str, value: str, known: Collection[str]) -> Answer:
    """Keep a language or theme that was chosen, as the hub's pages do."""
    if value not in known:
        raise RefusedError(HTTPStatus.NOT_FOUND, "path", f"expected one of {', '.join(known)}")
    cookie = f"{name}={value}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    return Answer(HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie})


def _json(value: Json) -> Answer:
    return Answer(HTTPStatus.OK, {"Content-Type": "application/json"}, dump(value))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "since", "since_ms: expected milliseconds since 1970")
    return value


def _cookie(fields: Mapping[str, str], name: str) -> str | None:
    for part in fields.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None
