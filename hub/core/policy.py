"""Who may do what: one table, and the two decorators by which code says which row of it applies. Denied unless listed.

`@policy` guards a service method and checks; `@declares` and `@public` mark a route or gRPC method, whose service checks.
`undeclared_routes` and `undeclared_methods` list what says neither, and a test fails on it.
"""

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID

from hub.core.audit import call_from_outside
from hub.core.errors import ForbiddenError, StepUpError, UnauthenticatedError
from hub.core.principal import Principal, PrincipalKind, Role
from protocols.record import NS_PER_S

_BEDSIDE = frozenset({Role.NURSE, Role.DOCTOR, Role.STATION})
_SEES_WARD = _BEDSIDE | {Role.ENGINEER, Role.ADMINISTRATOR}
_SEES_ASSETS = frozenset({Role.ENGINEER, Role.BUREAU, Role.ADMINISTRATOR, Role.OPERATOR})
_MACHINE = frozenset({Role.OPERATOR, Role.SYSTEM})

# action -> roles. An action that is not here is refused for everybody.
ACTIONS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "uplink.connect": frozenset({Role.GATEWAY}),
        "gateway.resend": frozenset({Role.ENGINEER, Role.ADMINISTRATOR, Role.OPERATOR}),
        "gateway.configure": frozenset({Role.ENGINEER, Role.OPERATOR}),
        "gateway.renew": frozenset({Role.GATEWAY}),
        "gateway.list": _SEES_ASSETS,
        "update.read": _SEES_ASSETS,
        "update.change": frozenset({Role.ENGINEER, Role.OPERATOR}),
        "gateway.add": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
        "gateway.revoke": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
        "device.list": _SEES_ASSETS,
        "device.admit": frozenset({Role.ENGINEER, Role.OPERATOR}),
        "device.command": frozenset({Role.ENGINEER, Role.OPERATOR}),
        "device.policy": frozenset({Role.OPERATOR}),
        "clock.read": frozenset({Role.ENGINEER, Role.ADMINISTRATOR, Role.OPERATOR}),
        "clock.retime": frozenset({Role.ENGINEER, Role.OPERATOR}),
        "quarantine.read": frozenset({Role.ENGINEER}),
        "quarantine.decide": frozenset({Role.ENGINEER}),
        "view.keep": frozenset({Role.ENGINEER, Role.BUREAU, Role.ADMINISTRATOR}),
        "sharing.read": frozenset({Role.ENGINEER, Role.ADMINISTRATOR, Role.OPERATOR}),
        "sharing.change": frozenset({Role.OPERATOR}),
        "operations.read": frozenset({Role.ENGINEER, Role.ADMINISTRATOR}),
        "trace.follow": frozenset({Role.OPERATOR}),
        "audit.verify": _MACHINE | {Role.ADMINISTRATOR},
        "retention.read": frozenset({Role.OPERATOR}),
        "retention.change": frozenset({Role.OPERATOR}),
        "retention.destroy": _MACHINE,
        "account.invite": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
        "account.list": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
        "account.disable": frozenset({Role.ADMINISTRATOR, Role.OPERATOR}),
        "account.own": _SEES_WARD | {Role.BUREAU},
        "session.end": _SEES_WARD | {Role.BUREAU},
        "ward.read": _SEES_WARD | _MACHINE,
        "waveform.read": _SEES_WARD,
        "ecg.read": _SEES_WARD,
        "screen.tell": _SEES_WARD,
        "screen.list": frozenset({Role.ENGINEER, Role.ADMINISTRATOR}),
        "trend.read": _SEES_WARD,
        "reading.read": _SEES_WARD,
        "device.readings": frozenset({Role.ENGINEER, Role.ADMINISTRATOR}),
        "search": _SEES_WARD | {Role.BUREAU},
        "patient.search": frozenset({Role.NURSE, Role.DOCTOR}),
        "timeline.read": _BEDSIDE,
        "note.write": frozenset({Role.NURSE, Role.DOCTOR}),
        "alarm.read": _SEES_WARD,
        "alarm.acknowledge": frozenset({Role.NURSE, Role.DOCTOR}),
        "alarm.shown": _SEES_WARD,
        "placement.read": _SEES_WARD | _MACHINE,
        "placement.change": frozenset({Role.NURSE, Role.DOCTOR, Role.ADMINISTRATOR, Role.OPERATOR}),
        "patient.read": _BEDSIDE,
        "patient.admit": frozenset({Role.NURSE, Role.DOCTOR}),
        "limit.change": frozenset({Role.NURSE, Role.DOCTOR, Role.OPERATOR}),
        "critical.read": _SEES_WARD,
        "critical.change": frozenset({Role.NURSE, Role.DOCTOR, Role.ENGINEER}),
        "critical.activate": frozenset({Role.DOCTOR, Role.ENGINEER}),
    }
)

# What a person does only within so much of having shown who sits there: an open page that somebody left is not enough.
PROVED_FOR_NS = 600 * NS_PER_S
STEP_UP = frozenset(
    {
        "account.disable",
        "account.invite",
        "clock.retime",
        "device.command",
        "gateway.add",
        "gateway.configure",
        "gateway.revoke",
        "update.change",
    }
)

_MARK = "__wardlink_action__"
PUBLIC = "public"

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Guarded")
F = TypeVar("F", bound=Callable[..., object])


class Log(Protocol):
    """Where it is written down who did what; `hub.core.audit.AuditLog` is one."""

    async def denied(self, principal: Principal, action: str, reason: str) -> None:
        """Write that `principal` tried `action`."""
        ...

    async def unchanged(self, principal: Principal, action: str, target: str) -> None:
        """Write that `principal` called and changed nothing, unless that was written lately."""
        ...


class Guarded(Protocol):
    """A service whose methods carry `@policy`."""

    @property
    def audit(self) -> Log:
        """Where calls and refusals go."""
        ...


Method = Callable[Concatenate[S, Principal, P], Awaitable[R]]


def allowed(principal: Principal, action: str) -> bool:
    """Tell whether one of the principal's roles may do `action`."""
    return not principal.roles.isdisjoint(ACTIONS.get(action, frozenset()))


def check(principal: Principal, action: str) -> None:
    """Raise `UnauthenticatedError` or `ForbiddenError` unless the principal may do `action`."""
    if allowed(principal, action):
        if needs_proof(principal, action):
            raise StepUpError
        return
    if principal.kind is PrincipalKind.ANONYMOUS:
        raise UnauthenticatedError("This needs somebody who is signed in.", "Sign in and try again.")
    raise ForbiddenError(
        f"{principal} may not do {action}.",
        "Ask an administrator for the role that may, or leave it to somebody who has it.",
    )


def needs_proof(principal: Principal, action: str) -> bool:
    """Whether a person who may do `action` has to show first who sits there."""
    stale = time.time_ns() - principal.proved_ns > PROVED_FOR_NS
    return principal.kind is PrincipalKind.USER and action in STEP_UP and stale


def policy(action: str) -> Callable[[Method[S, P, R]], Method[S, P, R]]:
    """Guard a service method whose first argument is the principal: refuse and audit, or call and audit it.

    A method that changes something writes its entry itself, in the transaction of the change; one that knows better than its
    first argument what was read does so too. For every other that is called from outside, the look is written here.
    """
    _known(action)

    def decorate(method: Method[S, P, R]) -> Method[S, P, R]:
        @functools.wraps(method)
        async def guarded(self: S, principal: Principal, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not allowed(principal, action):
                await self.audit.denied(principal, action, "role")
            elif needs_proof(principal, action):
                await self.audit.denied(principal, action, "step-up")
            check(principal, action)
            with call_from_outside() as call:
                result = await method(self, principal, *args, **kwargs)
            if call is not None and not call.told and Role.SYSTEM not in principal.roles:
                await self.audit.unchanged(principal, action, _target(args))
            return result

        setattr(guarded, _MARK, action)
        return guarded

    return decorate


def declares(action: str) -> Callable[[F], F]:
    """Mark a route or gRPC method with the action that its service checks."""
    _known(action)
    return functools.partial(_marked, action)


def public(reason: str) -> Callable[[F], F]:
    """Mark a route that anybody may call, with the reason why (sign-in page, health, the CA's certificate)."""
    if not reason:
        msg = "a public route needs a reason"
        raise ValueError(msg)
    return functools.partial(_marked, f"{PUBLIC}: {reason}")


def declared(function: object) -> str | None:
    """Return the action (or `public: reason`) that a function was marked with."""
    mark = getattr(inspect.unwrap(function) if callable(function) else function, _MARK, None)
    return mark if isinstance(mark, str) else getattr(function, _MARK, None)


def flat_routes(routes: Iterable[object]) -> Iterator[object]:
    """Every route of an application, those of included and mounted routers too."""
    for route in routes:
        # FastAPI keeps an included router as one entry that has no `routes` of its own.
        inner: Iterable[object] | None = getattr(getattr(route, "original_router", route), "routes", None)
        if inner:
            yield from flat_routes(inner)
        else:
            yield route


def undeclared_routes(routes: Iterable[object]) -> list[str]:
    """List what is served without a declared policy: routes, mounted applications, and whatever is not known here."""
    return [
        str(getattr(route, "path", route))
        for route in flat_routes(routes)
        if declared(getattr(route, "endpoint", None) or getattr(route, "app", None)) is None
    ]


def undeclared_methods(servicer: object, service_methods: Iterable[str]) -> list[str]:
    """List the gRPC methods of a servicer without a declared policy."""
    return [name for name in service_methods if declared(getattr(servicer, name)) is None]


def _target(args: tuple[object, ...]) -> str:
    """What a method was asked for, when its first argument is an id or a name."""
    return str(args[0]) if args and isinstance(args[0], int | str | UUID) else "-"


def _known(action: str) -> None:
    if action not in ACTIONS:
        msg = f"action {action!r} is not in the table of hub.core.policy"
        raise ValueError(msg)


def _marked(mark: str, function: F) -> F:
    setattr(function, _MARK, mark)
    return function
