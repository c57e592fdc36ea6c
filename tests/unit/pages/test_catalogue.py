"""The words: both languages say the same things, and no page says anything that is not in the catalogue."""

import json
import re
from pathlib import Path

import pytest

from hub.accounts.domain import ROLES, AccountState
from hub.accounts.proofs import PASSWORD_FAULTS
from hub.beds.posture import Posture
from hub.core.policy import ACTIONS
from hub.critical_values.pages import COLUMNS as CRITICAL_COLUMNS
from hub.device_commands.present import COMMANDS, PARAMETERS
from hub.devices.domain import Column, DeviceState
from hub.operations.domain import Span
from hub.quarantine.sentences import SENTENCES
from hub.updates.domain import ACTS, FAILED, RolloutState
from models.machine import THRESHOLDS
from models.screening.critical_check import Wrong
from models.screening.critical_items import AgeGroup, Examination
from models.signal import explain
from models.signal.leads import Swap
from protocols.device_command import Outcome, Reason
from protocols.link import LimitRefusal
from protocols.nomenclature import GAP_REASONS, TERMS, AlarmCategory, TermKind
from protocols.record import BEAT_CLASSES
from wardlink.web.catalogue import Catalogue, MessageError, choose, parameters, render

ROOT = Path(__file__).parents[3]
WEB = ROOT / "wardlink" / "web"
TEMPLATES = sorted((ROOT / "hub").rglob("templates/*.html"))
MODULES = sorted((WEB / "static").glob("*.js"))
CJK = re.compile(r"[\u4e00-\u9fff]")

# Chinese texts that may have no Chinese character or equal the English one, each with its reason.
SAME = {
    "app.name": "a proper name",
    "language.en": "a language is written in itself",
    "language.zh_Hans": "a language is written in itself",
    "strip.gain": "symbols of the SI, written alike on every ECG",
    "strip.speed": "symbols of the SI, written alike on every ECG",
    "numeric.limits": "numbers only",
    "numeric.limit_low": "numbers only",
    "numeric.limit_high": "numbers only",
    "numeric.none": "a mark for no value",
    "numeric.none_spot": "a mark for no value",
    "unit./min": "the UCUM symbol, as Chinese monitors print it too",
    "unit.%": "a symbol",
    "unit.mm[Hg]": "a symbol",
    "unit.Cel": "a symbol",
    "unit.mg/dL": "a symbol",
    "unit.mmol/L": "a symbol",
    "unit.uV": "a symbol",
    "unit.mV": "a symbol",
    "unit.1": "no unit, no text",
    "review.value_range": "numbers only",
    "devices.command.pair": "punctuation alone",
    "alarm.title": "two names and a dot",
    "finding.model": "a name and a number",
    "finding.lead_list": "punctuation alone",
    "finding.reason_list": "punctuation alone",
    "sheet.evidence_told": "punctuation alone",
    "sheet.evidence_classes": "punctuation alone",
    "sheet.confidence_value": "a number and a symbol",
    "ecg.zoom_value": "a number and a symbol",
    "ward.page_title_alarm": "names only",
}
# Keys that are put together at run time: the beginning, and what may follow.
BUILT: dict[str, list[str]] = {
    "review.posture.": [*Posture],
    "admit.ask.": ["bed_taken", "patient_differs", "patient_elsewhere", "device_elsewhere"],
    "admit.error.": ["number", "name", "birth", "device", "patient-gone", "placement-raced", "other"],
    "admit.sexes.": ["female", "male", "other", "unknown"],
    "admit.paced_is.": ["yes", "no", "unknown"],
    "screens.": ["off", "none"],
    "gateways.short.": [*THRESHOLDS, "spool_key_in_file"],
    "gateways.hub_short.": [*THRESHOLDS],
    "vitals.short.": [*THRESHOLDS],
    "rail.": ["ward", "critical", "devices", "quarantine", "gateways", "operations"],
    "level.": ["red", "yellow"],
    "ecg.reading.swap.": [swap for swap in Swap if swap is not Swap.NONE],
    "ecg.critical.": ["red", "yellow", "low", "high"],
    "examination.": [*Examination],
    "age_group.": [*AgeGroup],
    "critical.wrong.": [*Wrong],
    "critical.column.": [*CRITICAL_COLUMNS],
    "theme.to_": ["night", "day"],
    "quarantine.state.": ["held", "releasing", "released", "discarded"],
    "quarantine.said.": [*SENTENCES],
    "quarantine.reason.": [
        "device_not_admitted",
        "undecodable",
        "time",
        "origin",
        "samples",
        "value",
        "source",
        "database",
        "other",
    ],
    "gateways.configuration.": ["waiting", "sent", "applied", "refused", "rolled_back"],
    "updates.act.": [*ACTS],
    "updates.state.": [*RolloutState],
    "updates.failed.": [*FAILED],
    "gateways.state.": ["online", "away", "not_enrolled", "revoked"],
    "devices.column.": [*Column],
    "devices.state.": [*DeviceState],
    "operations.action.": [
        *(action.replace(".", "_") for action in ACTIONS),
        "public",
        "uplink_store",
        "secrets_purge",
    ],
    "operations.card.": ["stored", "read", "write", "query", "delay", "alarm_delay", "ratio"],
    "operations.role.": ["ingest", "web", "worker"],
    "operations.span.": [*Span],
    "operations.stored.": ["observation", "waveform"],
    "devices.command.of.": [*COMMANDS],
    "devices.command.parameter.": [*PARAMETERS],
    "devices.command.state.": ["asked", "sent", *Outcome],
    "devices.command.reason.": [reason for reason in Reason if reason],
    "devices.door.": ["serial", "bluetooth", "mqtt", "coap", "http", "folder"],
    "devices.life_of.": ["placed", "first_seen", "admitted"],
    "why.": [],
    "param.": [],
    "reason.": [*(word for group in explain.GROUPS for word in (group.below, group.above))],
    "beat_class.": [*(letter for letter in BEAT_CLASSES if letter != "?"), "other"],
    "rule.": ["lethal", "beats", "limit", "quality", "link", "pace"],
    "event.": [
        "detected",
        "changed",
        "latched",
        "ended",
        "sent",
        "stored",
        "shown",
        "heard",
        "acknowledged",
        "escalated",
        "paused",
        "other",
    ],
    "unit.": [],
    "numeric.": [],
    "strip.gap.": [],
    "bed.sex.": ["M", "F", "O", "U"],
    "language.": ["zh_Hans", "en"],
    "keys.": [
        "digits",
        "enter",
        "a",
        "slash",
        "question",
        "escape",
        "digits_go",
        "limits",
        "note",
        "scrub",
        "scrub_hour",
        "scrub_ends",
        "go",
        "zoom",
        "ward",
        "acknowledge",
    ],
    "review.tab.": ["timeline", "alarms", "devices"],
    "review.device.": ["waiting", "retired", "live", "silent", "never"],
    "alarm.priority.": ["high", "medium", "low", "technical"],
    "link.states.": ["live", "gateway_lost", "device_silent", "never"],
    "strip.cause.": ["hub", "gateway_lost", "device_silent", "live"],
    "sheet.state.": ["present", "latched", "ended"],
    "sound.": ["on", "off", "none"],
    "numeric.quality.": [],
    "limits.why.": [*LimitRefusal, "other"],
    "sign_in.error_": ["wrong", "locked", "expired", "elsewhere", "moved", "over"],
    "welcome.error_": [*PASSWORD_FAULTS, "differ"],
    "step.": [f"{need}_{part}" for need in ("second", "enrol", "renew") for part in ("title", "lead", "submit")],
    "step.error_": [*PASSWORD_FAULTS, "differ", "wrong", "passkey", "locked"],
    "account.done_": ["password", "session", "passkey"],
    "account.error_": [*PASSWORD_FAULTS, "differ", "wrong-password", "wrong-code", "wrong-passkey", "held-back"],
    "account.role.": list(ROLES),
    "people.": ["review", "end_sessions", "disable", "close"],
    "people.card.": ["review", "locked", "invited", "over"],
    "people.column.": ["name", "state", "roles", "wards", "staff_number", "second", "seen"],
    "people.state.": list(AccountState),
    "people.error.": [
        "account-name",
        "account-until",
        "account-role",
        "staff-number",
        "staff-number-taken",
        "ward-unknown",
        "account-closed",
        "own-account",
    ],
    "welcome.": ["used_title", "used_how", "expired_title", "expired_how", "unknown_title", "unknown_how"],
}
KEY = re.compile(r"""[^\w.](?:t|has)\(\s*["']([\w.%/\[\]]+)["']\s*[,)]""")
START = re.compile(r"""[^\w.](?:t|has)\(\s*(?:`([\w.]+)\$\{|"([\w.]+)"\s*~)""")
# A key chosen by a condition stands in a text of its own.
LOOSE = re.compile(r"""["']((?:alarm|sheet|finding|why|strip|numeric|sound|calibration|review|limits)\.[a-z_.]+)["']""")


@pytest.fixture(scope="module")
def words() -> Catalogue:
    return Catalogue.load(WEB / "locale")


def test_both_languages_have_the_same_keys(words: Catalogue) -> None:
    assert set(words.words["en"]) == set(words.words["zh_Hans"])


def test_a_refusal_reads_in_english_as_programs_are_told_it(words: Catalogue) -> None:
    for code, sentence in SENTENCES.items():
        params = {name: f"<{name}>" for name in parameters(sentence)}
        assert words.text("en", f"quarantine.said.{code}", **params) == sentence.format(**params)


def test_every_chinese_text_is_translated(words: Catalogue) -> None:
    english = words.words["en"]
    left = [
        key
        for key, text in words.words["zh_Hans"].items()
        if key not in SAME and (text == english[key] or not CJK.search(text))
    ]
    assert left == [], "untranslated; if a text is rightly the same, list it in SAME with the reason"


def test_every_exception_is_still_needed(words: Catalogue) -> None:
    chinese, english = words.words["zh_Hans"], words.words["en"]
    assert [key for key in SAME if key not in chinese] == []
    assert [key for key in SAME if CJK.search(chinese[key]) and chinese[key] != english[key]] == []


def test_both_languages_use_the_same_parameters(words: Catalogue) -> None:
    english = words.words["en"]
    assert [k for k, text in words.words["zh_Hans"].items() if parameters(text) != parameters(english[k])] == []


@pytest.mark.parametrize("path", [*TEMPLATES, *MODULES], ids=lambda path: path.name)
def test_every_key_that_a_page_uses_is_in_the_catalogue(path: Path, words: Catalogue) -> None:
    source = path.read_text()
    used = set(KEY.findall(source))
    if path.suffix == ".js":
        used |= set(LOOSE.findall(source))
    assert sorted(key for key in used if not words.has(key)) == []
    for pair in START.findall(source):
        start = pair[0] or pair[1]
        assert start in BUILT, f"{start} is put together at run time: list what may follow in BUILT"
        assert [end for end in BUILT[start] if not words.has(start + end)] == []


def test_every_key_is_used_by_some_page(words: Catalogue) -> None:
    source = "\n".join(
        path.read_text()
        for path in [*TEMPLATES, *MODULES, *(ROOT / "hub").rglob("*.py"), *(ROOT / "edge").rglob("*.py")]
    )
    # The hub builds `error.<kind>_title` and its like from the kind of problem.
    starts = (*(start for start in BUILT if start not in ("welcome.", "sound.")), "error.", "welcome.", "sound.")
    assert sorted(k for k in words.words["en"] if f'"{k}"' not in source and not k.startswith(starts)) == []


def test_every_alarm_and_gap_has_words(words: Catalogue) -> None:
    alarms = [term.code for term in TERMS.values() if term.kind is TermKind.ALARM]
    assert [code for code in alarms if not words.has(f"why.{code}")] == []
    assert [reason for reason in GAP_REASONS if not words.has(f"strip.gap.{reason}")] == []


def test_every_alarm_has_a_category_whose_melody_the_page_knows(words: Catalogue) -> None:
    terms = json.loads(words.page_json("en"))["terms"]
    melodies = set(re.findall(r'^  (\w+): "[a-gC ]+",$', (WEB / "static" / "sound.js").read_text(), re.MULTILINE))
    assert melodies == set(AlarmCategory)
    category = {code: one["category"] for code, one in terms.items()}
    assert category["MDC_EVT_ECG_V_FIB"] == "cardiac"
    assert category["MDC_PULS_OXIM_SAT_O2"] == "oxygen"
    assert category["WDL_EVT_LINK_LOST"] == "equipment"
    limits = {"MDC_EVT_HI_GT_LIM", "MDC_EVT_LO_LT_LIM"}  # theirs is that of the measurement
    alarms = {code for code, term in TERMS.items() if term.kind is TermKind.ALARM} - limits
    assert [code for code in alarms if category[code] == "general"] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_shows_a_text_of_its_own(path: Path) -> None:
    source = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    source = re.sub(r"\{% block theme %\}\w+", "", source)
    source = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", source, flags=re.DOTALL)
    source = re.sub(r"<script type=.application/json.[^>]*>", "", source)
    shown = re.findall(r'(?:title|aria-label|placeholder|alt|value)="([^"]*)"', source)
    shown += re.sub(r"<[^>]*>", "\n", source).split("\n")
    assert [text.strip() for text in shown if re.search(r"[A-Za-z\u4e00-\u9fff]", text)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_shows_a_text_of_its_own(path: Path) -> None:
    source = path.read_text()
    shown = re.findall(r"""(?:textContent|title|placeholder)\s*[=:]\s*["'`]([^"'`$]+)["'`]""", source)
    shown += re.findall(r"""setText\([^;]*?,\s*["'`]([^"'`$]+)["'`]\)""", source)
    shown += re.findall(r"""h\("\w+", \{[^{}]*\}, ["'`]([^"'`$]+)["'`]""", source)
    # The cap of a key is the same letter in both languages.
    assert [text for text in shown if len(re.findall(r"[A-Za-z\u4e00-\u9fff]", text)) > 1] == []


def test_plurals_and_numbers_are_chosen_by_language(words: Catalogue) -> None:
    assert words.text("en", "ward.beds", n=1) == "1 bed"
    assert words.text("en", "ward.beds", n=6) == "6 beds"
    assert words.text("zh_Hans", "ward.beds", n=1) == "1 张床"
    assert words.text("en", "sheet.beats_found", n=0) == "no beat found in this strip"


def test_a_missing_parameter_and_a_missing_key_are_named(words: Catalogue) -> None:
    with pytest.raises(KeyError, match="label"):
        words.text("en", "bed.name")
    with pytest.raises(KeyError, match=r"no\.such"):
        words.text("zh_Hans", "no.such")
    with pytest.raises(MessageError, match="closes nothing"):
        render("a } b", "en", {})


def test_select_falls_back_to_other() -> None:
    message = "{sex, select, f {she} m {he} other {they}}"
    assert [render(message, "en", {"sex": sex}) for sex in ("f", "m", "x")] == ["she", "he", "they"]


@pytest.mark.parametrize(
    ("cookie", "asked", "expected"),
    [
        (None, None, "zh_Hans"),
        (None, "fr-FR", "zh_Hans"),
        (None, "en-US,en;q=0.9", "en"),
        (None, "en;q=0.5, zh-CN", "zh_Hans"),
        (None, "en;q=broken, zh;q=0", "zh_Hans"),
        ("en", "zh-CN", "en"),
        ("xx", "en", "en"),
    ],
)
def test_the_language_is_the_cookies_else_the_browsers_else_chinese(
    cookie: str | None, asked: str | None, expected: str
) -> None:
    assert choose(cookie, asked) == expected


def test_the_pages_copy_cannot_end_its_script_element(words: Catalogue) -> None:
    nasty = Catalogue({"en": {"a": "</script><b>"}, "zh_Hans": {"a": "一"}})
    assert "<" not in nasty.page_json("en")
    page = json.loads(words.page_json("zh_Hans"))
    assert page["terms"]["MDC_EVT_ECG_V_FIB"]["name"] == "心室颤动"
    assert not any(key.startswith("sign_in.") for key in page["words"])
