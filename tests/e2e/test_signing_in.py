"""Signing in with two factors and the own account, as a nurse does it with a telephone; each page in both languages, themes and all sizes."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pyotp.totp import TOTP

from hub.accounts.domain import SecondFactor
from hub.core.principal import Role
from tests.e2e.album import Album
from tests.fixtures.migrated_database import MigratedDatabases
from tests.fixtures.synthetic_ward import SyntheticWard, synthetic_wards
from tests.fixtures.web import PASSWORD, RunningWeb, running_web
from wardlink.local.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
LANGS = {"en": "", "zh_Hans": "-zh_Hans"}
TELEPHONE_S = 30


@pytest.fixture(scope="module")
def ward(migrated_databases: MigratedDatabases, short_folder: Callable[[], Path]) -> Iterator[SyntheticWard]:
    with migrated_databases.lent() as database, synthetic_wards(database, short_folder) as make:
        yield make(1)


@pytest.fixture(scope="module")
def web(ward: SyntheticWard) -> Iterator[RunningWeb]:
    """The pages as they come: everybody sets up a second factor."""
    stack, port = AsyncExitStack(), free_port()
    # By name: an address of digits can have no passkeys.
    public = f"http://localhost:{port}"
    strict = running_web(
        ward.hub.database, ward.hub.live_path, port, second_factor=SecondFactor.REQUIRED, public=public
    )
    yield ward.do(stack.enter_async_context(strict))
    ward.do(stack.aclose())


def follow_link(page: Page, ward: SyntheticWard, web: RunningWeb, name: str) -> None:
    page.goto(f"http://localhost:{web.server.port}{ward.do(web.invite(name))}")
    page.fill("#password", PASSWORD)
    page.fill("#password_again", PASSWORD)
    page.click("button[type=submit]")
    expect(page.locator(".qr")).to_be_visible()


def telephone(page: Page) -> TOTP:
    """What scans the picture: here it is typed by hand."""
    page.click(".by-hand summary")
    return TOTP(page.locator(".by-hand code").inner_text())


def set_up(page: Page, ward: SyntheticWard, web: RunningWeb, name: str) -> TOTP:
    follow_link(page, ward, web, name)
    codes = telephone(page)
    page.fill("#code", codes.now())
    page.click("button[type=submit]")
    expect(page.locator(".codes li")).to_have_count(10)
    return codes


def next_code(ward: SyntheticWard, codes: TOTP) -> str:
    """The code that is shown when the time of the one before is over, without waiting for it."""
    ward.hub.do("update account_factor set last_step = last_step - 2")
    return codes.now()


class Authenticator:
    """The browser's virtual authenticator (WebDriver, Web Authentication 11), which answers without anybody's finger."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }  # fmt: skip
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def send(self, command: str, more: dict[str, object] | None = None) -> dict[str, list[dict[str, int]]]:
        return self._session.send(command, {"authenticatorId": self._id, **(more or {})})


def sign_out_and_in(page: Page, name: str) -> None:
    """Out by the account page, and in again as far as the second factor."""
    page.goto(page.evaluate("location.origin") + "/account")
    page.locator(".room-tools form button").click()
    page.wait_for_url("**/sign-in")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/sign-in/step")


@pytest.mark.req("AIQ-D.2.2a", surface="page")
@pytest.mark.parametrize("lang", list(LANGS))
def test_a_nurse_sets_up_her_telephone_keeps_her_codes_and_signs_in_with_them(
    lang: str, ward: SyntheticWard, web: RunningWeb, open_page: Callable[..., Page], album: Album
) -> None:
    page, name = open_page(lang), f"li.na{LANGS[lang]}".lower().replace("_", "-")
    follow_link(page, ward, web, name)
    album.themes(page, f"second-factor-set-up-{lang}")
    codes = telephone(page)
    page.fill("#code", codes.now())
    page.click("button[type=submit]")
    expect(page.locator(".codes li")).to_have_count(10)
    album.themes(page, f"recovery-codes-{lang}")
    page.click("a.primary")
    page.wait_for_url("**/ward/7b")
    expect(page.locator("article")).to_be_visible()

    page.goto(f"http://localhost:{web.server.port}/account")
    album.themes(page, f"account-{lang}")
    sign_out_and_in(page, name)
    page.fill("#code", "000000")
    page.click("button[type=submit]")
    expect(page.locator("#trouble")).to_be_visible()
    album.themes(page, f"second-factor-{lang}")
    page.fill("#code", next_code(ward, codes))
    page.click("button[type=submit]")
    page.wait_for_url("**/ward/7b")


@pytest.mark.parametrize("lang", list(LANGS))
def test_the_own_account_tells_what_was_refused_and_gives_new_codes(
    lang: str, ward: SyntheticWard, web: RunningWeb, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page(lang)
    codes = set_up(page, ward, web, f"wang-wu-{lang}".lower().replace("_", "-"))
    page.goto(f"http://localhost:{web.server.port}/account?act=second")
    fresh = telephone(page)
    page.fill("#new_code", fresh.now())
    page.fill("#second_current", "Not the one at all 1")
    page.fill("#second_code", next_code(ward, codes))
    page.click("#second button[type=submit]")
    expect(page.locator("#trouble")).to_be_visible()
    album.themes(page, f"account-refused-{lang}")
    page.fill("#new_code", fresh.now())
    page.fill("#second_current", PASSWORD)
    page.fill("#second_code", next_code(ward, codes))
    page.click("#second button[type=submit]")
    expect(page.locator(".codes li")).to_have_count(10)
    album.themes(page, f"account-codes-{lang}")


@pytest.mark.req("TCE-8.1a", surface="page")
def test_a_doctor_adds_a_passkey_signs_in_with_it_and_is_refused_one_that_is_not_hers(
    ward: SyntheticWard, web: RunningWeb, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    authenticator = Authenticator(page)
    codes = set_up(page, ward, web, "zhou.yi")
    page.goto(f"http://localhost:{web.server.port}/account?act=passkey#passkeys")
    page.fill("#passkey_name", "Tablet of the round")
    page.fill("#passkey_current", PASSWORD)
    page.fill("#passkey_code", next_code(ward, codes))
    page.click("#passkeys [data-passkey]")
    page.wait_for_url("**/account?done=passkey")
    page.click("#passkeys summary")
    expect(page.locator("#passkeys li")).to_contain_text("Tablet of the round")
    album.themes(page, "account-passkeys-en")
    sign_out_and_in(page, "zhou.yi")
    album.themes(page, "second-factor-passkey-en")
    page.click("[data-passkey]")
    page.wait_for_url("**/ward/7b")
    assert authenticator.send("WebAuthn.getCredentials")["credentials"][0]["signCount"] >= 2

    sign_out_and_in(page, "zhou.yi")
    authenticator.send("WebAuthn.clearCredentials")
    authenticator.send("WebAuthn.setUserVerified", {"isUserVerified": False})
    page.click("[data-passkey]")
    expect(page.locator("[data-passkey-refused]")).to_be_visible()
    page.fill("#code", next_code(ward, codes))
    page.click("button[type=submit]")
    page.wait_for_url("**/ward/7b")


@pytest.mark.req("ECG-6.3.4a", surface="page")
def test_an_administrator_sees_everybody_and_invites_somebody(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    for name in ("liu.fang", "chen.jing", "yang.yang", "zhao.min"):
        ward.do(ward.web.invite(name))
    ward.hub.do("update account set reviewed_at = now() - interval '200 days' where name = 'chen.jing'")
    ward.hub.do("update account set state = 'active', password_hash = 'x' where name in ('chen.jing', 'zhao.min')")
    ward.hub.do("update account set valid_until = now() - interval '1 day' where name = 'zhao.min'")
    ward.sign_in(page, "admin", Role.ADMINISTRATOR, ())
    page.goto(f"{ward.url}/people?open=chen.jing")
    album.fill(page, "people")
    page.goto(f"{ward.url}/people?open=%2B")
    ward.hub.do("update account_session set proved_at = now() - interval '1 hour'")
    page.fill("#person_name", "he.jun")
    page.fill("#person_display", "贺军")
    page.click(".people-form button[type=submit]")
    page.wait_for_url("**/account/prove?next=/people*")
    album.themes(page, "prove-en")
    page.fill("#current", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/people?open=*")
    page.fill("#person_name", "He Jun")
    page.fill("#person_display", "贺军")
    page.click(".people-form button[type=submit]")
    expect(page.locator(".side-sheet .told.bad")).to_be_visible()
    expect(page.locator("#person_display")).to_have_value("贺军")
    page.fill("#person_name", "he.jun")
    page.check("#ward_1")
    page.click(".people-form button[type=submit]")
    expect(page.locator(".people-link code")).to_contain_text(f"{ward.url}/welcome/")
    album.themes(page, "people-invited-en")
    page.goto(page.locator(".people-link code").inner_text())
    expect(page.locator("#password_again")).to_be_visible()
