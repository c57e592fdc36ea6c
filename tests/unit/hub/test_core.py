"""Named queries, problems, policy and the audit's hash: what every feature of the hub stands on."""

import hashlib
import time

import pytest

from hub.core import policy, principal
from hub.core.audit import canonical, entry_hash
from hub.core.errors import ForbiddenError, GoneError, StepUpError, UnauthenticatedError
from hub.core.principal import ANONYMOUS, Principal, PrincipalKind, Role
from hub.core.sql import Queries

NURSE = Principal(PrincipalKind.USER, "7", 1, frozenset({Role.NURSE}))


def test_queries_are_found_by_name():
    queries = Queries("-- a file\n\n-- name: one\nselect 1;\n\n-- name: two\nselect 2\n", "x.sql")
    assert dict(queries) == {"one": b"select 1", "two": b"select 2"}


def test_a_query_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(KeyError, match=r"x\.sql has no query two; it has one"):
        Queries("-- name: one\nselect 1", "x.sql")["two"]


def test_dangerous_acts_of_a_person_need_a_proof_of_ten_minutes_and_those_of_machines_do_not():
    assert set(policy.ACTIONS) >= policy.STEP_UP
    roles = frozenset({Role.ADMINISTRATOR, Role.ENGINEER, Role.OPERATOR})
    fresh, stale = (
        Principal(PrincipalKind.USER, "7", 1, roles, proved_ns=time.time_ns() - age_s * 10**9) for age_s in (595, 605)
    )
    policy.check(fresh, "account.invite")
    policy.check(stale, "account.list")
    policy.check(principal.operator("account add", 1), "account.invite")
    with pytest.raises(StepUpError):
        policy.check(stale, "account.invite")
    with pytest.raises(ForbiddenError, match="may not do"):
        policy.check(NURSE, "account.invite")


@pytest.mark.parametrize("text", ["select 1", "-- name: a\nselect 1\n-- name: a\nselect 2", "-- name: a\n\n"])
def test_a_file_of_queries_that_cannot_be_meant_is_refused(text: str):
    with pytest.raises(ValueError, match=r"x\.sql"):
        Queries(text, "x.sql")


def test_a_problem_says_what_happened_and_what_to_do():
    problem = GoneError("The token was used already.", "Make a new one.", reason="token-used").problem("/enrolment")
    assert problem == {
        "type": "urn:wardlink:problem:token-used",
        "title": "No longer valid",
        "status": 410,
        "detail": "The token was used already.",
        "instance": "/enrolment",
        "what_to_do": "Make a new one.",
    }


class Desk:
    """A service with one guarded method."""

    def __init__(self) -> None:
        self.audit = self
        self.refused: list[tuple[str, str, str]] = []
        self.looked: list[tuple[str, str, str]] = []

    async def denied(self, principal: Principal, action: str, reason: str) -> None:
        self.refused.append((str(principal), action, reason))

    async def unchanged(self, principal: Principal, action: str, target: str) -> None:
        self.looked.append((str(principal), action, target))

    @policy.policy("gateway.add")
    async def add(self, who: Principal, name: str) -> str:
        """Add."""
        return f"{name} by {who}"

    @policy.policy("gateway.list")
    async def add_all(self, who: Principal, names: list[str]) -> list[str]:
        """Add several, each by the guarded method."""
        return [await self.add(who, name) for name in names]


async def test_a_method_is_called_for_a_role_that_may_and_that_is_written_down():
    desk = Desk()
    assert await desk.add(principal.operator("test", 1), "x") == "x by system:test"
    assert desk.looked == [("system:test", "gateway.add", "x")]


async def test_what_a_method_does_on_the_way_is_written_down_as_the_one_call_that_it_is():
    desk = Desk()
    await desk.add_all(principal.operator("test", 1), ["x", "y"])
    assert desk.looked == [("system:test", "gateway.list", "-")]


async def test_a_method_is_refused_and_written_down_for_a_role_that_may_not():
    desk = Desk()
    with pytest.raises(ForbiddenError, match=r"user:7 may not do gateway\.add"):
        await desk.add(NURSE, "x")
    with pytest.raises(UnauthenticatedError):
        await desk.add(ANONYMOUS, "x")
    assert desk.refused == [("user:7", "gateway.add", "role"), ("anonymous:-", "gateway.add", "role")]


def test_what_is_not_in_the_table_is_refused_for_everybody():
    everybody = Principal(PrincipalKind.SYSTEM, "x", 1, frozenset(Role))
    assert not policy.allowed(everybody, "no.such.action")
    with pytest.raises(ValueError, match="not in the table"):
        policy.declares("no.such.action")


def test_a_declared_method_is_known_and_one_that_declares_nothing_is_listed():
    assert policy.declared(Desk.add) == "gateway.add"
    assert policy.undeclared_methods(Desk, ["add", "denied"]) == ["denied"]


def test_the_audit_hash_covers_what_came_before_the_number_the_writer_and_the_body():
    body = canonical({"b": 1, "a": "心电"})
    assert body == '{"a":"心电","b":1}'
    expected = hashlib.sha256(bytes(32) + (5).to_bytes(8, "big") + b"web:1\n" + body.encode()).digest()
    assert entry_hash(bytes(32), "web:1", 5, body) == expected
