"""Rules of accounts: names, passwords, how guessing is held back, form tokens."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from hub.accounts.domain import (
    Invitation,
    Need,
    Proof,
    SecondFactor,
    SignInName,
    form_token,
    held_back,
    needs,
    secret_hash,
)
from hub.accounts.strength import password_fault
from hub.core.errors import ForbiddenError, InvalidError
from hub.core.principal import Role
from hub.web.guard import check_form, same_origin
from hub.web.kit import inside


@pytest.mark.req("AIQ-D.2.2a", surface="page")
@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("Elev3nchars", "short"),
        ("七夜静悄悄的心电图室里", "short"),
        ("七夜静悄悄的心电图室里啊", "classes"),
        ("七夜静悄悄的心电图室 Ward 7b", None),
        ("seven quiet nights", "classes"),
        ("Seven quiet nights", "classes"),
        ("Seven quiet nights 7", None),
        ("SevenQuietNights7", "classes"),
        ("Aaaaaaaaaaa1!", "common"),
        ("Password1234!", "common"),
        ("P@ssw0rd12345", "common"),
        ("Qwertyuiop12!", "common"),
        ("Zhang.wei2026", "common"),
        ("Wardlink2026!", "common"),
        ("Zhang.wei-20417", "common"),
        ("x" * 257, "long"),
        ("Ab1 " * 64, "common"),
        ("Seven quiet nights 7 " * 12, None),
    ],
)
def test_a_password_is_long_of_four_classes_and_not_what_attackers_try_first(password: str, fault: str | None):
    assert password_fault(password, ["zhang.wei", "Zhang Wei", "20417"]) == fault


@given(st.text(max_size=300))
def test_any_text_is_judged(password: str):
    assert password_fault(password, []) in {None, "short", "long", "classes", "common"}


@pytest.mark.req("TCE-8.1a", surface="page")
def test_guessing_is_held_back_longer_each_time_and_the_fifth_failure_locks_for_an_hour():
    waits = [held_back(failures).total_seconds() for failures in range(7)]
    assert waits == [0, 0, 1, 2, 4, 3600, 3600]
    assert held_back(1000) == timedelta(hours=1)


YOUNG, OLD = timedelta(days=89), timedelta(days=90)
PASSWORD, LINK, SECOND = Proof.TYPED, Proof.LINK, Proof.SECOND


@pytest.mark.parametrize(
    ("passed", "has_second", "policy", "age", "need"),
    [
        ({PASSWORD}, True, SecondFactor.OFFERED, YOUNG, Need.SECOND),
        ({LINK}, True, SecondFactor.OFFERED, YOUNG, Need.SECOND),
        ({PASSWORD}, False, SecondFactor.REQUIRED, YOUNG, Need.ENROL),
        ({LINK}, False, SecondFactor.REQUIRED, YOUNG, Need.ENROL),
        ({PASSWORD}, False, SecondFactor.OFFERED, YOUNG, None),
        ({PASSWORD, SECOND}, True, SecondFactor.REQUIRED, YOUNG, None),
        ({PASSWORD, SECOND}, True, SecondFactor.REQUIRED, OLD, Need.RENEW),
        ({PASSWORD}, True, SecondFactor.REQUIRED, OLD, Need.SECOND),
        ({PASSWORD}, False, SecondFactor.OFFERED, OLD, Need.RENEW),
    ],
)
def test_a_sign_in_asks_for_the_second_factor_before_a_new_password(
    passed: set[Proof], has_second: bool, policy: SecondFactor, age: timedelta, need: Need | None
):
    assert needs(frozenset(passed), has_second=has_second, policy=policy, password_age=age) is need


def test_a_typed_name_may_name_its_hospital():
    assert SignInName.parse(" Zhang.Wei ") == SignInName("zhang.wei", "default")
    assert SignInName.parse("zhang.wei@East") == SignInName("zhang.wei", "east")
    assert SignInName("a", "b").key != SignInName("a", "c").key


@pytest.mark.parametrize(
    ("name", "shown", "roles"),
    [
        ("Zhang", "Zhang", {Role.NURSE}),
        ("", "x", {Role.NURSE}),
        ("a" * 64, "x", {Role.NURSE}),
        ("zhang", " ", {Role.NURSE}),
        ("zhang", "Zhang", set[Role]()),
        ("zhang", "Zhang", {Role.SYSTEM}),
    ],
)
def test_an_invitation_that_could_not_be_kept_is_refused_with_words(name: str, shown: str, roles: set[Role]):
    with pytest.raises(InvalidError) as refused:
        Invitation(name, shown, frozenset(roles))
    assert refused.value.what_to_do


def test_what_is_stored_of_a_secret_and_what_a_form_shows_of_it_do_not_tell_it():
    assert secret_hash("s") != secret_hash("t")
    assert form_token("s") not in (form_token("t"), secret_hash("s").hex())


def test_a_form_passes_with_the_token_of_its_cookie_only():
    def request(token: str, **more: str) -> Headers:
        return Headers({"cookie": "wl_session=abc", "host": "hub", "x-csrf-token": token, **more})

    check_form(request(form_token("abc")), b"")
    check_form(
        Headers({"cookie": "wl_visit=abc", "content-type": "application/x-www-form-urlencoded"}),
        f"csrf={form_token('abc')}".encode(),
    )
    for bad in (
        request(form_token("other")),
        request(form_token("abc"), origin="http://elsewhere"),
        request(form_token("abc"), **{"sec-fetch-site": "cross-site"}),
        Headers({"x-csrf-token": form_token("")}),
    ):
        with pytest.raises(ForbiddenError, match="form"):
            check_form(bad, b"")
    assert same_origin(Headers({"host": "hub:1", "origin": "http://hub:1"}))


@pytest.mark.parametrize("path", ["https://x/", "//x", "/\\x", "x", "", "javascript:alert(1)"])
def test_an_address_elsewhere_leads_home(path: str):
    assert inside(path) == "/"
    assert inside("/ward/7b?x=1") == "/ward/7b?x=1"
