"""Every template renders in both languages with exactly the context that its head describes, and nothing a strict policy refuses."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hub.accounts.domain import ROLES, Account, AccountState
from hub.accounts.own import Factor, OwnAccount
from hub.accounts.people_pages import Typed
from hub.accounts.sessions import Live
from wardlink.web.catalogue import Catalogue

ROOT = Path(__file__).parents[3]
WORDS = Catalogue.load(ROOT / "wardlink" / "web" / "locale")
ENVIRONMENT = Environment(
    loader=FileSystemLoader(ROOT / "hub" / "web" / "templates"), autoescape=True, undefined=StrictUndefined
)
NASTY = "</script><b>7B"
WARD = {"id": "7b", "name": NASTY}
ALARM = {"id": "a", "code": "MDC_EVT_ECG_V_FIB", "source": NASTY}
ECG = {
    "id": 5,
    "at_ms": 1_795_261_349_896,
    "device": "cart-6",
    "ward": WARD,
    "bed": NASTY,
    "who": {"masked_name": NASTY, "age": 77, "sex": "F"},
    "cart": {"make": NASTY, "model": "Cart 12"},
    "fs_hz": 500.0,
    "leads": [],
    "measurements": [{"code": "MDC_ECG_TIME_PD_QT", "value": 383.0, "unit": "ms"}],
    "statements": [{"kind": "statement", "text": NASTY}],
    "critical": [
        {
            "code": "MDC_ECG_TIME_PD_QTc",
            "value": 553.0,
            "unit": "ms",
            "level": "red",
            "bound": 549.0,
            "side": "high",
            "item": "x",
            "table": 1,
        },
        {
            "code": "MDC_ECG_HEART_RATE",
            "value": 34.0,
            "unit": "/min",
            "level": "red",
            "bound": 36.0,
            "side": "low",
            "item": "y",
            "table": 1,
        },
    ],
    "reading": {
        "beats": 11,
        "rate_per_min": 34,
        "p_ms": None,
        "pr_ms": None,
        "qrs_ms": 98,
        "qt_ms": 400,
        "qtc_bazett_ms": 420,
        "qtc_fridericia_ms": 415,
        "st_mv": {"I": -0.04, "AVR": 0.1},
        "swap": {"which": "ra-la", "probability": 0.97, "sure": True, "doubts": []},
    },
    "others": [{"id": 5, "at_ms": 1_795_261_349_896, "device": "cart-6"}],
}
STEP = {
    "min_length": 12, "qr": "data:image/svg+xml,x", "secret": "ABC", "codes": (), "onward": "", "sign_in_name": NASTY, "passkey": "",
}  # fmt: skip
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
OWN = [
    OwnAccount("li.na", NASTY, NASTY, ("nurse", "doctor"), timedelta(days=3), factors, 7, can_have_passkeys=True)
    for factors in ((Factor("totp", "TOTP", NOW, NOW, 1), Factor("passkey", NASTY, NOW, None, 2)), ())
]
ACCOUNT = {
    "room": "account", "own": OWN[0], "sessions": [Live("a", NOW, NOW, "10.0.0.1", NASTY, is_own) for is_own in (True, False)],
    "done": None, "min_length": 12, "qr": "data:image/svg+xml,x", "secret": "ABC", "codes": (), "passkey": '{"a": "</form>"}',
}  # fmt: skip
PEOPLE = [
    Account(n, f"li.na{n}", NASTY, NASTY, ("nurse",), state, ("7b",), n % 2 == 0, NOW, NOW, seen, seen is not None, NOW)
    for n, (state, seen) in enumerate([("active", NOW), ("invited", None), ("disabled", None), ("closed", None)])
]
ROOM_OF_PEOPLE = {
    "room": "people", "people": PEOPLE, "total": 4, "counts": dict.fromkeys(AccountState, 1), "only": "", "now": NOW, "opened": None,
    "is_new": False, "is_own": False, "typed": Typed(), "roles": ROLES, "wards": [("7b", NASTY)], "link": "", "error": None,
}  # fmt: skip
Context: TypeAlias = dict[str, object]
PAGES: list[tuple[str, Context]] = [
    ("ward.html", {"ward": WARD, "snapshot": {"beds": [NASTY]}}),
    ("ward.html", {"ward": WARD, "snapshot": None}),
    (
        "bed.html",
        {"ward": WARD, "bed": {"id": "1", "label": "1"}, "detail": {"key": NASTY}, "snapshot": {"beds": [NASTY]}},
    ),
    ("alarm.html", {"ward": WARD, "bed": {"id": "1", "label": "1"}, "who": None, "alarm": ALARM}),
    *[
        ("sign_in.html", {"name": NASTY, "next": "", "error": e})
        for e in (None, "wrong", "locked", "expired", "elsewhere", "moved", "over")
    ],
    *[("step.html", {**STEP, "need": "second", "error": e}) for e in (None, "wrong", "locked")],
    ("step.html", {**STEP, "need": "second", "error": "passkey", "passkey": '{"a": "</form>"}'}),
    *[("step.html", {**STEP, "need": "enrol", "error": e}) for e in (None, "wrong", "locked")],
    *[
        ("step.html", {**STEP, "need": "renew", "error": e})
        for e in (None, "short", "differ", "classes", "common", "used")
    ],
    ("step.html", {**STEP, "need": "recovery", "error": None, "codes": ["AAAAA-BBBBB"], "onward": "/ward"}),
    *[
        ("account.html", {**ACCOUNT, "act": act, "error": e})
        for act, e in (
            (None, None),
            ("password", "wrong-password"),
            ("passkey", "wrong-passkey"),
            ("second", "wrong-code"),
            ("recovery", "held-back"),
        )
    ],
    *[
        ("prove.html", {"next": "/people", "has_second": e != "held-back", "error": e})
        for e in (None, "wrong-code", "held-back")
    ],
    ("people.html", {**ROOM_OF_PEOPLE}),
    ("people.html", {**ROOM_OF_PEOPLE, "people": [], "only": "locked"}),
    ("people.html", {**ROOM_OF_PEOPLE, "is_new": True, "error": "account-name"}),
    *[
        ("people.html", {**ROOM_OF_PEOPLE, "opened": one, "typed": Typed.of(one), "link": "hub/welcome/x"})
        for one in PEOPLE
    ],
    ("account.html", {**ACCOUNT, "own": OWN[1], "act": "second", "error": None, "done": "password"}),
    ("account.html", {**ACCOUNT, "act": None, "error": None, "codes": ["AAAAA-BBBBB"]}),
    *[
        (
            "welcome.html",
            {"state": "open", "display_name": NASTY, "sign_in_name": "n", "min_length": 12, "error": e},
        )
        for e in (None, "short", "differ", "common", "classes", "used", "long")
    ],
    *[
        ("welcome.html", {"state": s, "display_name": "", "sign_in_name": "", "min_length": 12, "error": None})
        for s in ("used", "expired", "unknown")
    ],
    *[
        ("ecg.html", {"ecg": {**ECG, **more}})
        for more in (
            {},
            {"who": None, "measurements": [], "statements": [], "cart": {}, "critical": [], "reading": None},
        )
    ],
    ("error.html", {"status": 404, "title": NASTY, "detail": "", "what_to_do": "", "instance": ""}),
    ("error.html", {"status": 500, "title": "t", "detail": "d", "what_to_do": "w", "instance": "i"}),
]


def show(name: str, lang: str, context: Context) -> str:
    return ENVIRONMENT.get_template(name).render(
        t=lambda key, /, **params: WORDS.text(lang, key, **params),
        term=lambda code: code,
        utc=lambda ms: datetime.fromtimestamp(ms / 1000, UTC),
        lang=lang,
        csrf="token",
        person={"name": NASTY, "role": "nurse"},
        path="/here",
        here="/here?a=b",
        theme="",
        rail=[],
        sees_screens=False,
        words=Markup(WORDS.page_json(lang)),
        **context,
    )


@pytest.mark.parametrize("lang", WORDS.languages)
@pytest.mark.parametrize(("name", "context"), PAGES, ids=lambda part: part if isinstance(part, str) else "")
def test_a_template_renders_in_both_languages(name: str, context: Context, lang: str) -> None:
    html = show(name, lang, context)
    assert f'<html lang="{"en" if lang == "en" else "zh-Hans"}"' in html
    assert html.count("<h1") == (0 if name == "alarm.html" and "<h1" not in html else 1)
    assert "<b>7B" not in html


@pytest.mark.parametrize(("name", "context"), PAGES, ids=lambda part: part if isinstance(part, str) else "")
def test_a_template_has_nothing_that_a_strict_policy_refuses(name: str, context: Context) -> None:
    html = show(name, "en", context)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|https?://", html)
    for attributes in re.findall(r"<script([^>]*)>", html):
        assert 'type="application/json"' in attributes or 'src="/static/' in attributes


def test_every_field_has_a_label_and_says_what_a_password_manager_may_fill_in() -> None:
    for name, context in PAGES:
        html = show(name, "en", context)
        for field in re.findall(r"<input ([^>]*)>", html):
            if 'type="hidden"' in field:
                continue
            identity = re.search(r'id="(\w+)"', field)
            assert identity is not None
            assert f'<label for="{identity[1]}"' in html
            assert "autocomplete=" in field


def test_every_file_that_a_template_names_is_there() -> None:
    static = ROOT / "wardlink" / "web" / "static"
    for name, context in PAGES:
        for file in re.findall(r'"/static/([^"]+)"', show(name, "en", context)):
            assert (static / file).exists(), f"{name} names {file}"


@pytest.mark.parametrize("page", ["ward", "bed"])
def test_every_module_of_a_live_page_is_fetched_at_once(page: str) -> None:
    static = ROOT / "wardlink" / "web" / "static"
    html = show(f"{page}.html", "en", next(context for name, context in PAGES if name == f"{page}.html"))
    named = set(re.findall(r'"/static/(\w+)\.js"', html))
    wanted, seen = [page], set[str]()
    while wanted:
        module = wanted.pop()
        seen.add(module)
        wanted += [
            m for m in re.findall(r'from "\./(\w+)\.js"', (static / f"{module}.js").read_text()) if m not in seen
        ]
    assert named == seen
