"""The sentence of an alarm, as the page's own module renders it from the page's own words, in both languages."""

import json
from pathlib import Path
from typing import TypeAlias

import pytest

from models.signal import explain
from protocols.evidence_json import evidence_json
from protocols.nomenclature import (
    ASYSTOLE,
    BRADY_EXTREME,
    EVT_ATRIAL_FIB,
    EVT_BIGEMINY,
    EVT_PAUSE,
    EVT_V_RUN,
    HEART_RATE,
    HI_GT_LIM,
    LEADS_OFF,
    LINK_LOST,
    PLETH,
    TERMS,
    V_FIB,
    V_TACHY,
    TermKind,
    lead,
)
from protocols.record import Evidence, Model, Reason, Span
from tests.unit.pages.test_modules import WEB, node
from wardlink.web.catalogue import LANGUAGES, Catalogue

ONSET_MS = 11_560_000  # 03:12:40 of the first day
NOW_MS = ONSET_MS + 12_000
WAVES = Evidence(
    "lethal",
    "3",
    confidence=0.97,
    spans=(Span("window", 0, 1000, (lead("II"),)), Span("judged", 0, 1375, (lead("II"), lead("V1")))),
    reasons=(
        Reason("base", 0.02),
        Reason("blunt", 0.5, 3.1),
        Reason("waves", 0.3, 5.27, "Hz"),
        Reason("smooth", 0.1, 0.4),
        Reason("size", -0.02, 0.8, "mV"),
    ),
    models=(Model("lethal", "1", "b90f0611502c"),),
)
RULE = Evidence("beats", "3")

Alarm: TypeAlias = dict[str, object]


def alarm(code: str, presence: str = "present", kind: str = "physiological", **params: str | float) -> Alarm:
    events: list[object] = [{"kind": "detected", "at_ms": ONSET_MS + 3000}]
    if presence != "present":
        events.append({"kind": presence, "at_ms": ONSET_MS + 75_000})
    return {
        "code": code, "presence": presence, "kind": kind, "onset_ms": ONSET_MS, "params": params, "events": events,
    }  # fmt: skip


def said(lang: str, cases: list[tuple[Alarm, Evidence | None]], folder: Path) -> list[list[str]]:
    """Sentence and advice of each case, rendered by the module under node."""
    words = Catalogue.load(WEB / "locale").page_json(lang)
    told = [[one, None if evidence is None else evidence_json(evidence)] for one, evidence in cases]
    static = WEB / "static"
    program = folder / "say.mjs"
    program.write_text(
        f'import {{ advice, sentence }} from "{(static / "finding.js").as_uri()}";'
        f'import {{ speak }} from "{(static / "words.js").as_uri()}";'
        f"speak({words});"
        f"const said = ([one, evidence]) => [sentence(one, evidence, {NOW_MS}), evidence ? advice(one, evidence) : ''];"
        f"process.stdout.write(JSON.stringify({json.dumps(told)}.map(said)));"
    )
    done = node(program)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


SLOW = alarm(BRADY_EXTREME, "latched", heart_rate=34, limit_per_min=40.0)
PAUSE = alarm(ASYSTOLE, pause_s=4.2, limit_s=4.0)
OLD_PAUSE = alarm(ASYSTOLE, pause_s=4.2)
RATE = alarm(HI_GT_LIM, measure=HEART_RATE, value=134.0, limit=120.0, unit="/min")
RUN = alarm(V_TACHY, "latched", beats=5, beats_per_min=152)
HELD = alarm(
    ASYSTOLE,
    pause_s=14.0,
    limit_s=4.0,
    held_s=10.0,
    pulse="pulse-goes-on",
    pulse_rate=73,
    pulses=9,
    pulse_alike=0.99,
    pulse_of=PLETH,
)
OFF = alarm(LEADS_OFF, kind="technical", leads=f"{lead('II')} {lead('V1')}")
LOST = alarm(LINK_LOST, kind="technical")
CASES: list[tuple[Alarm, Evidence | None]] = [
    (alarm(V_FIB), WAVES),
    (SLOW, RULE),
    (PAUSE, RULE),
    (OLD_PAUSE, RULE),
    (RATE, Evidence("limit", "3")),
    (RUN, RULE),
    (HELD, RULE),
    (OFF, Evidence("quality", "3")),
    (LOST, Evidence("link", "3")),
    (alarm(V_FIB), None),
]


@pytest.mark.req("AIQ-4.5", surface="page")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_alarm_is_one_sentence_with_what_when_how_sure_and_why(lang: str, tmp_path: Path):
    expected: list[str] = json.loads((Path(__file__).parent / "findings.json").read_text())[lang]
    assert [sentence for sentence, _ in said(lang, CASES, tmp_path)] == expected


@pytest.mark.req("AIQ-4.5", surface="page")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_alarm_says_that_it_is_advice_and_of_what_program(lang: str, tmp_path: Path):
    (waves, rule, *_, technical, _) = said(lang, CASES, tmp_path)
    advised, by = {
        "en": ("Advice of a program", "Detector of beats, version 3"),
        "zh_Hans": ("提示", "心搏检测"),
    }[lang]
    assert advised in waves[1]
    assert "lethal 1" in waves[1]
    assert by in rule[1]
    assert {"en": "doctor decides", "zh_Hans": "由医生判断"}[lang] in waves[1]
    assert {"en": "program", "zh_Hans": "程序"}[lang] in technical[1]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_of_an_alarm_has_a_sentence_whatever_is_known_of_it(lang: str, tmp_path: Path):
    codes = [term.code for term in TERMS.values() if term.kind is TermKind.ALARM]
    every = [
        Reason(word, 0.1, 0.5, group.unit)
        for group in explain.GROUPS
        for word in dict.fromkeys((group.below, group.above))
    ]
    known: tuple[dict[str, str | float], ...] = (
        {},
        {"pause_s": 4.2, "limit_s": 4.0},
        {"heart_rate": 34, "limit_per_min": 40.0},
        {"measure": HEART_RATE, "value": 134.0, "limit": 120.0, "unit": "/min"},
        {"leads": lead("II")},
    )
    cases: list[tuple[Alarm, Evidence | None]] = [
        ({**alarm(code, presence), "params": params}, evidence)
        for code in [*codes, "WDL_EVT_OF_A_LATER_RELEASE"]
        for presence in ("present", "latched", "ended")
        for params in known
        for evidence in (None, RULE, WAVES, *(Evidence("lethal", "3", reasons=(r,)) for r in every))
    ]  # fmt: skip
    found = said(lang, cases, tmp_path)
    end = {"en": ".", "zh_Hans": "。"}[lang]
    assert [one for one, _ in found if not one.endswith(end) or "03:12:40" not in one or "{" in one] == []
    assert not [one for one, _ in found if "undefined" in one or "NaN" in one]


DOUBTED: list[dict[str, object]] = [
    {"held": True, "why": "pulse-goes-on", "pulse_per_min": 73, "device": None},
    {"held": False, "why": "pulse-slower", "pulse_per_min": 68.4, "device": "oximeter-1"},
    {"held": True, "why": "of-a-later-release", "pulse_per_min": None, "device": None},
]


EPISODES: list[dict[str, object]] = [
    {"code": EVT_BIGEMINY, "until_ms": ONSET_MS + 1_740_000, "times": 1},
    {"code": EVT_V_RUN, "until_ms": ONSET_MS + 240_000, "times": 3, "beats": 5, "beats_per_min": 160},
    {"code": EVT_PAUSE, "goes_on": True, "pause_s": 3.16},
    {"code": EVT_ATRIAL_FIB, "experimental": True},
]
NOTHING_KNOWN = {
    "until_ms": None, "goes_on": False, "experimental": False, "times": None, "beats": None, "beats_per_min": None, "pause_s": None,
}  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("module", "of"), [("doubted", DOUBTED), ("episode", EPISODES)])
def test_the_time_line_says_what_was_held_back_and_what_the_rhythm_did(
    lang: str, module: str, of: list[dict[str, object]], tmp_path: Path
):
    words = Catalogue.load(WEB / "locale").page_json(lang)
    static = WEB / "static"
    same = {"at_ms": ONSET_MS, "source": "amplifier-1/ecg"}
    before = {"doubted": {"kind": "doubted", "alarm": ASYSTOLE}, "episode": {"kind": "rhythm", **NOTHING_KNOWN}}[module]
    entries = [{**same, **before, **one} for one in of]
    program = tmp_path / f"{module}.mjs"
    program.write_text(
        f'import {{ {module} }} from "{(static / f"{module}.js").as_uri()}";'
        f'import {{ speak }} from "{(static / "words.js").as_uri()}";'
        f"speak({words});"
        f"process.stdout.write(JSON.stringify({json.dumps(entries)}.map({module})));"
    )
    done = node(program)
    assert (done.returncode, done.stderr) == (0, "")
    expected: list[list[str]] = json.loads((Path(__file__).parent / f"{module}.json").read_text())[lang]
    assert json.loads(done.stdout) == expected
