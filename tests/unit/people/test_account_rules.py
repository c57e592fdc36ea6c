"""Rules of accounts: names, passwords, how guessing is held back, form tokens."""

from datetime import timedelta

import pytest
from starlette.datastructures import Headers

from hub.accounts.domain import (
    Invitation,
    SignInName,
    form_token,
    held_back,
    password_fault,
    secret_hash,
)
from hub.core.errors import ForbiddenError, InvalidError
from hub.core.principal import Role
from hub.web.guard import check_form, same_origin
from hub.web.kit import inside


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("elevenchars", "short"),
        ("七夜静悄悄的心电图室里", "short"),
        ("七夜静悄悄的心电图室里啊", None),
        ("seven quiet nights", None),
        ("aaaaaaaaaaaaaaaa", "common"),
        ("Password12345", None),
        ("Password1234", "common"),
        ("zhang.wei-2026", None),
        ("zhang.wei2026", "common"),
        ("x" * 257, "long"),
    ],
)
def test_a_password_is_long_and_not_what_attackers_try_first(password: str, fault: str | None):
    assert password_fault(password, "zhang.wei") == fault


def test_guessing_is_held_back_twice_as_long_each_time_and_then_locked():
    waits = [held_back(failures).total_seconds() for failures in range(11)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 900]
    assert held_back(1000) == timedelta(minutes=15)


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
