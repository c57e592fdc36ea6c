"""That whatever reaches the hub's data by itself asks who wants it: a principal and a policy, or a reason in words why not.

`@policy` refuses, and writes both the refusal and the call into the audit (test_core.py); so its mark stands for all three.
"""

import inspect
import pkgutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import import_module
from types import ModuleType

import hub
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.core.policy import PUBLIC, declared
from hub.core.principal import Principal

BEHIND_THE_UPLINK = (
    "a gateway's principal is checked and written once a stream (UplinkDoor), before there is anything to store of it"
)
BEHIND_A_SERVICE = "what it reads is given out by services alone, which have checked"
OWN_TASK = "a task of the process, which nobody calls from outside"
# `module:Class.method` or `module:function`, as of fnmatch.
EXCEPTIONS = {
    "hub.accounts.sign_in:SignIn.*": "who signs in is nobody yet: what was shown is the authority; each step and each refusal is written",
    "hub.accounts.sign_in:tenant_name": "the name of a hospital, for those who have shown that they are of it",
    "hub.accounts.sessions:Sessions.begin": "carries out a sign-in, which writes it",
    "hub.accounts.sessions:Sessions.who": "makes the principal of a session's secret, with which all others are called",
    "hub.accounts.sessions:Sessions.why_ended": "tells who holds the secret of an ended session why it ended",
    "hub.accounts.ending:end_over": OWN_TASK,
    "hub.accounts.proofs:Attempts.one": "counts and writes attempts of those who are nobody yet",
    "hub.gateways.service:GatewayService.enrol": "the one-time secret is what admits; grant and refusal are written",
    "hub.gateways.service:GatewayService.unreadable": "writes what reached the enrolment door and is no request",
    "hub.gateways.service:tenant_id_of": "finds the tenant of an operator's principal before there is one",
    "hub.alarms.follower:AlarmFollower.run": OWN_TASK,
    "hub.alarms.follower:AlarmFollower.newest": BEHIND_A_SERVICE,
    "hub.alarms.follower:AlarmFollower.can_resume": BEHIND_A_SERVICE,
    "hub.alarms.follower:Cursor.read": BEHIND_A_SERVICE,
    "hub.wards.room:Room.run": OWN_TASK,
    "hub.wards.room:Room.tend": OWN_TASK,
    "hub.wards.room:Room.layout": BEHIND_A_SERVICE,
    "hub.wards.room:Room.look_again": OWN_TASK,
    "hub.web.notices:hear": OWN_TASK,
    "hub.worker:purge_secrets": OWN_TASK,
    "hub.worker:seal_store": OWN_TASK,
    "hub.store.rollups:roll_up": OWN_TASK,
    "hub.queries.spelling:spell_all": OWN_TASK,
    "hub.store.sealing:*": OWN_TASK,
    "hub.ingest.identity:identify": "finds who a certificate is of: the principal that the door then checks",
    "hub.ingest.streams:Streams.link": BEHIND_THE_UPLINK,
    "hub.ingest.streams:Streams.positions": BEHIND_THE_UPLINK,
    "hub.ingest.resend:Resends.*": "carries out what somebody asked for through GatewayService, which checked and wrote it",
    "hub.ingest.writer:Writer.*": BEHIND_THE_UPLINK,
    "hub.ingest.catalog:GatewayCatalog.*": BEHIND_THE_UPLINK,
    "hub.ingest.downlink:Downlink.*": BEHIND_THE_UPLINK,
    "hub.ingest.configurations:Configurations.*": BEHIND_THE_UPLINK,
    "hub.ingest.device_commands:GatewayCommands.*": "carries out what somebody asked for through DeviceCommands, which checked; each step is written",
    "hub.ingest.placement:placement_of": BEHIND_THE_UPLINK,
    "hub.ingest.placement:placement_applied": BEHIND_THE_UPLINK,
    "hub.ingest.acknowledged:acknowledged_alarms": BEHIND_THE_UPLINK,
    "hub.ingest.throttled:Throttled.*": BEHIND_THE_UPLINK,
    "hub.operations.recorder:Recorder.*": OWN_TASK,
    "hub.operations.storage:Storage.*": OWN_TASK,
    "hub.operations.availability:Availability.*": OWN_TASK,
    "hub.upstream.bound:hold_bound": OWN_TASK,
    "hub.ingest.traced:Tracer.*": BEHIND_THE_UPLINK,
    "hub.ingest.release:Releaser.*": "carries out what an engineer decided through Quarantine, which checked and wrote it",
    "hub.updates.turns:Turns.*": "carries out what somebody planned through Updates, which checked and wrote it",
    "hub.upstream.intake:Sharing.read": "reads the rules of every tenant for the process that stores; who changed one stands in the audit",
    "hub.upstream.outbox:Outbox.*": "carries out the rules of sharing, which SharingRules checked and wrote",
}


def modules() -> Iterator[ModuleType]:
    """All of the hub; hub.core is what the rest is made of."""
    for found in pkgutil.walk_packages(hub.__path__, "hub."):
        if not found.name.startswith("hub.core.") and not found.name.endswith("__main__"):
            yield import_module(found.name)


def asked_for(callable_: object) -> list[str]:
    """The types that it takes, as they are written."""
    assert callable(callable_)
    try:
        parameters = inspect.signature(inspect.unwrap(callable_)).parameters.values()
    except ValueError:  # made in C, as the constructor of an error
        return []
    return [
        p.annotation.__name__ if isinstance(p.annotation, type) else str(p.annotation).strip("\"'") for p in parameters
    ]


def reaches_data(callable_: object) -> bool:
    return not {Database.__name__, AuditLog.__name__}.isdisjoint(asked_for(callable_))


def is_public_coroutine(name: str, function: object) -> bool:
    inner = inspect.unwrap(function) if callable(function) else function
    return not name.startswith("_") and (inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner))


def takes_a_principal(method: object) -> bool:
    return asked_for(method)[1:2] == [Principal.__name__]


def is_service(found: type) -> bool:
    """A class that is given the database or the audit, or that some method of takes a principal."""
    methods = [one for name, one in vars(found).items() if is_public_coroutine(name, one)]
    return reaches_data(found) or any(takes_a_principal(one) for one in methods)


def callables(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What can be awaited from outside and reaches data by itself: methods of services, and functions that take the database."""
    own = [(name, one) for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
    for name, one in own:
        if inspect.isclass(one):
            if not name.startswith("_") and is_service(one):
                yield from (
                    (f"{name}.{m}", method) for m, method in vars(one).items() if is_public_coroutine(m, method)
                )
        elif is_public_coroutine(name, one) and reaches_data(one):
            yield name, one


def is_guarded(method: object) -> bool:
    action = declared(method)
    return action is not None and not action.startswith(PUBLIC)


def reason_for(name: str) -> str | None:
    return next((EXCEPTIONS[pattern] for pattern in EXCEPTIONS if fnmatchcase(name, pattern)), None)


def test_every_way_to_the_data_takes_a_principal_and_checks_a_policy_or_has_a_reason_why_not():
    found = {f"{module.__name__}:{name}": one for module in modules() for name, one in callables(module)}
    guarded = {name for name, one in found.items() if is_guarded(one)}
    assert {"hub.alarms.service:AlarmService.acknowledge", "hub.gateways.listing:GatewayList.find"} <= guarded
    assert all(takes_a_principal(found[name]) for name in guarded if name != "hub.ingest.door:UplinkDoor.Connect")
    assert [name for name in found if name not in guarded and reason_for(name) is None] == []
    assert [name for name in guarded if reason_for(name)] == [], "an exception that is none any more"
    stale = [pattern for pattern in EXCEPTIONS if not any(fnmatchcase(name, pattern) for name in found)]
    assert stale == [], "an exception for what is gone"


def test_a_method_without_a_principal_or_without_a_policy_would_be_found():
    class Forgetful:
        def __init__(self, database: Database) -> None:
            self.database = database

        async def read(self, who: Principal) -> None:
            del who

        async def tidy(self) -> None: ...

        async def _inner(self, who: Principal) -> None:
            del who

    async def loose(database: Database) -> None:
        del database

    module = ModuleType("somewhere")
    Forgetful.__module__ = loose.__module__ = module.__name__
    vars(module).update(Forgetful=Forgetful, loose=loose)
    found = dict(callables(module))
    assert list(found) == ["Forgetful.read", "Forgetful.tidy", "loose"]
    assert not any(is_guarded(one) for one in found.values())
