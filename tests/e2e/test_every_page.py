"""Every page of the hub in both languages, both themes and three sizes, on one ward for all; what stays to be seen on it is told here.

The walls are in test_few_and_many_beds.py, the gateway's own page in test_local_page.py.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from edge.health.status import Status
from hub.core.principal import Role
from protocols.ecgfile.wfdb import read_record
from protocols.link import Lane
from protocols.nomenclature import EVT_THROTTLED, HEART_RATE, LO_LT_LIM, SPO2, V_FIB, lead
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Evidence,
    Model,
    Observation,
    Presence,
    Priority,
    Reason,
    Scale,
    SourcePath,
    Span,
    Times,
    WaveformGroup,
    alarm_id,
)
from tests.e2e.album import SIZES, USUAL, Album, five_mm_px, ink, wait_for_ink
from tests.fixtures.cart import leave_ecg
from tests.fixtures.drawn import EXACT, recognise, ruled_px_per_mm
from tests.fixtures.drawn import ink as ink_of
from tests.fixtures.migrated_database import MigratedDatabases
from tests.fixtures.past import write_past
from tests.fixtures.printed import DOTS_PER_MM, printed
from tests.fixtures.synthetic_ward import FS_HZ, SyntheticWard, beat, synthetic_wards
from tests.fixtures.web import OPERATOR, deliver, now_ns

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DAY_NS = 86_400 * NS_PER_S
EVIDENCE_S, DECIDED_S = 10, 7


@pytest.fixture(scope="module")
def ward(
    migrated_databases: MigratedDatabases, short_folder: Callable[[], Path], captures: Path
) -> Iterator[SyntheticWard]:
    """Two monitored beds, the first in fibrillation; a cart at the third; nobody at the fourth; much for an engineer to do."""
    with migrated_databases.lent() as database, synthetic_wards(database, short_folder) as make:
        ward = make(2)
        leave_ecg(ward, captures / "ludb-101-af", "cart-3", "3")
        ward.do(ward.web.placement.add_bed(OPERATOR, "7b", "4"))
        for table in ("patient_association", "device_association"):  # they have been there since yesterday
            ward.hub.do(f"update {table} set during = tstzrange(now() - interval '1 day', upper(during))")
        ward.hub.do("update tenant set admission = 'required'")
        give_an_engineer_work(ward)
        ward.send(Lane.ALARM, fibrillation(now_ns() - 30 * NS_PER_S), desaturation(now_ns() - 20 * NS_PER_S))
        yield ward


def give_an_engineer_work(ward: SyntheticWard) -> None:
    """An unknown device, a reading of the future, and gateways in every state."""
    new, wrong = SourcePath("patch-9", ("n",)), SourcePath("monitor-1", ("x",))
    rates = [Observation(new, HEART_RATE, 70.0 + n, "/min", Times(now_ns())) for n in range(3)]
    flooding = DeviceEvent(SourcePath("monitor-2"), EVT_THROTTLED, Times(now_ns()))
    late = Observation(wrong, HEART_RATE, 70.0, "/min", Times(now_ns() + 2 * DAY_NS))
    ward.do(ward.hub.add("ward-8a"))
    for name, records, spool_bytes, waiting, ahead_ms in (
        ("icu-east", rates, 500, 2, 3),
        ("icu-west", [late], 1900, 340, -700),
    ):
        status = Status(name, "1.2.3", now_ns() - DAY_NS, time.time_ns() + 40 * DAY_NS)
        status.spool_bytes, status.spool_max_bytes = spool_bytes, 2000
        status.spool_key = "file" if waiting > 100 else "credential"
        status.waiting, status.hub_ahead_ns = {"numeric": waiting}, ahead_ms * 1_000_000
        peer = ward.do(ward.hub.peer(name))
        ward.do(deliver(ward.hub, peer, Lane.NUMERIC, *records))
        ward.do(deliver(ward.hub, peer, Lane.EVENT, status.event(now_ns()), *([flooding] if late in records else [])))
    ward.hub.do("update gateway set throttled_since = now() where name = 'icu-west'")


def fibrillation(onset_ns: int) -> AlarmCondition:
    """At bed 1, with what decided it: beats, then coarse waves of changing height (drawn); their classes are made up."""
    source, n = SourcePath("monitor-1", ("ecg",)), EVIDENCE_S * FS_HZ
    t = np.arange(n) / FS_HZ
    waves = 400 * np.sin(2 * np.pi * 5.1 * t) * (1 + 0.4 * np.sin(2 * np.pi * 0.7 * t)) + 120 * np.sin(
        2 * np.pi * 3.3 * t
    )
    samples = np.where(t < 4, beat(n, 75, 0), waves).astype("<i2")
    strip = WaveformGroup(
        source,
        (lead("II"),),
        FS_HZ,
        0,
        samples.tobytes(),
        "<i2",
        (Scale(1.0, 0.0, "uV"),),
        Times(onset_ns - 4 * NS_PER_S),
    )
    decided_ns = onset_ns + 3 * NS_PER_S
    return AlarmCondition(
        alarm_id(source, V_FIB, onset_ns),
        source,
        V_FIB,
        Priority.HIGH,
        AlarmKind.PHYSIOLOGICAL,
        Presence.PRESENT,
        onset_ns,
        decided_ns,
        Times(decided_ns),
        (("window_s", 4.0),),
        Evidence(
            "lethal",
            "3",
            strip,
            tuple(round((0.3 + 0.8 * n) * FS_HZ) for n in range(5)),
            DECIDED_S * FS_HZ,
            0.72,
            "NNVN?",
            (
                Span("window", round(2.8 * FS_HZ), round(6.8 * FS_HZ), (lead("II"),)),
                Span("judged", round(1.3 * FS_HZ), round(6.8 * FS_HZ), (lead("II"),)),
            ),
            (
                Reason("base", 0.02),
                Reason("blunt", 0.51, 3.0),
                Reason("waves", 0.19, 5.1, "Hz"),
                Reason("restless", 0.11, 0.28),
                Reason("smooth", 0.07, 0.47),
                Reason("size", -0.01, 0.9, "mV"),
                Reason("irregular", -0.03, 0.2),
            ),
            (Model("lethal", "1", "b90f0611502c"),),
        ),
    )


def desaturation(onset_ns: int) -> AlarmCondition:
    """At bed 2, of a limit."""
    source = SourcePath("monitor-2")
    return AlarmCondition(
        alarm_id(source, LO_LT_LIM, onset_ns),
        source,
        LO_LT_LIM,
        Priority.MEDIUM,
        AlarmKind.PHYSIOLOGICAL,
        Presence.PRESENT,
        onset_ns,
        onset_ns + 5 * NS_PER_S,
        Times(onset_ns + 5 * NS_PER_S),
        (("measure", SPO2), ("value", 84.0), ("limit", 90.0), ("unit", "%")),
    )


def test_the_doors(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    page = open_page("en")
    page.goto(ward.url + ward.do(ward.web.invite("zhao.min")))
    album.fill(page, "welcome")
    page.goto(f"{ward.url}/welcome/none")
    album.fill(page, "used")
    page.goto(f"{ward.url}/sign-in")

    def wrong(page: Page) -> None:
        page.goto(f"{ward.url}/sign-in")
        page.fill("#name", "zhao.min")
        page.fill("#password", "not the password of anybody")
        page.click("button[type=submit]")
        expect(page.locator("#trouble")).to_be_visible()

    album.fill(page, "sign-in", wrong)


def test_who_has_no_ward_or_no_right_is_told_what_to_do(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    ward.sign_in(page, "zhou.jie", wards=())
    album.fill(page, "no-ward", lambda page: expect(page.locator(".empty-room h3")).to_be_visible())
    page.goto(f"{ward.url}/devices")
    album.fill(page, "error-forbidden", lambda page: expect(page.locator(".status")).to_have_text("403"))
    page.goto(f"{ward.url}/nowhere")
    album.fill(page, "error-not-found", lambda page: expect(page.locator(".status")).to_have_text("404"))


def patch_9_was_told_something(ward: SyntheticWard) -> None:
    """What its gateway offers, and a command of each state that a device's sheet shows."""
    ward.hub.do(
        "insert into gateway_offer (gateway_id, tenant_id, ledger, devices)"
        " select gateway_id, tenant_id, decode(repeat('00', 16), 'hex'), jsonb_build_object(name, '"
        '[{"code": "channel-power", "reads_back": true, "interrupts": true, "parameters": ['
        '{"name": "channel", "kind": "integer", "unit": "", "low": 1, "high": 8, "choices": []},'
        '{"name": "on", "kind": "boolean", "unit": "", "low": null, "high": null, "choices": []}]},'
        '{"code": "reset", "reads_back": false, "interrupts": true, "parameters": []}]'
        "'::jsonb) from device where name = 'patch-9'"
    )
    states = (
        ("confirmed", "", "", '{"channel": 3, "on": false, "gain": 24}'),
        ("unconfirmed", "no_answer", "the device was not heard on it within 3 s", "{}"),
        (
            "refused",
            "not_now",
            "channel 1 of patch-9 carries lead MDC_ECG_LEAD_II: take it out of the settings first",
            "{}",
        ),
        ("expired", "not_connected", "", "{}"),
        ("sent", "", "", "{}"),
    )
    for state, reason, details, seen in states:
        ward.hub.do(
            "with asked as (insert into device_command (device_command_id, tenant_id, gateway_id, device_id, code, parameters, asked_by, deadline)"
            " select gen_random_uuid(), tenant_id, gateway_id, device_id, 'channel-power', '{\"channel\": 3, \"on\": false}', 'user:2',"
            " now() + interval '1 minute' from device where name = 'patch-9' returning *)"
            " insert into device_command_event (tenant_id, device_command_id, state, reason, details, seen)"
            f" select tenant_id, device_command_id, '{state}', '{reason}', '{details}', '{seen}' from asked"
        )


def test_the_rooms_of_engineers(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    page = open_page("en")
    ward.sign_in(page, "fan.wei", Role.ENGINEER)
    page.goto(f"{ward.url}/devices")
    album.fill(page, "devices")
    patch_9_was_told_something(ward)
    page.locator("table a.first", has_text="patch-9").click()

    def with_a_form(page: Page) -> None:
        expect(page.locator("aside.side-sheet:visible")).to_contain_text("patch-9")
        page.locator("details.command summary").first.click()
        expect(page.locator("details.command form input[type=number]")).to_be_visible()

    album.fill(page, "device", with_a_form)
    page.reload()
    page.locator("ol.commands li").last.scroll_into_view_if_needed()
    album.still(page, "device-commands-en-day", ((1280, 800),))
    page.keyboard.press("/")
    expect(page.locator("[data-slash]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-slash]")).not_to_be_focused()
    expect(page.locator("aside.side-sheet:visible")).to_contain_text("patch-9")  # the first Esc leaves the search alone
    page.keyboard.press("Escape")
    page.wait_for_url("**/devices?*")
    move_through_the_rows(page)
    page.goto(f"{ward.url}/quarantine")
    move_through_the_rows(page)
    page.locator("tr", has_text="monitor-1/x").locator("a.first").click()
    album.fill(page, "quarantine", lambda page: expect(page.locator("pre.raw")).to_contain_text("C_ECG_HEART_RATE"))
    page.goto(f"{ward.url}/gateways")
    move_through_the_rows(page)
    album.fill(page, "gateways", lambda page: expect(page.locator("#screens")).to_have_attribute("data-mute", "0"))

    page.goto(f"{ward.url}/operations")
    expect(page.locator(".empty-room h2")).to_have_text("Nothing measured yet")
    two_hours_were_measured(ward)
    page.goto(f"{ward.url}/operations")
    album.fill(page, "operations", sizes=(SIZES[0], SIZES[2]))

    def keys(page: Page) -> None:
        page.locator("body").press("?")
        expect(page.locator("#keys")).to_be_visible()

    page.goto(f"{ward.url}/devices")
    album.fill(page, "devices-keys", keys)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()


@pytest.mark.req("ECG-6.1.1f", surface="page")
@pytest.mark.req("ECG-6.1.1o", surface="page")
def test_a_critical_value_is_changed_refused_mended_and_put_in_force(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    ward.sign_in(page, "gao.jun", Role.ENGINEER)
    page.locator("nav.rail a[href='/critical-values']").click()
    page.set_viewport_size(USUAL)
    # Red inside yellow is refused beside its cell, with all that was typed still there.
    page.get_by_label("Oxygen saturation: Red below").fill("95")
    page.get_by_label("Oxygen saturation: Delay, s").fill("7")
    page.get_by_label("Why, for those who read it later").fill("asked by the ward's doctors")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.locator(".told.bad")).to_contain_text("Nothing was changed")
    row = page.locator("tr.wrong")
    expect(row.locator(".why")).to_have_text(re.compile("Yellow below: red must lie beyond yellow"))
    expect(row.get_by_label("Oxygen saturation: Delay, s")).to_have_value("7")
    album.still(page, "critical-values-refused-en-day", (SIZES[0],))
    row.get_by_label("Oxygen saturation: Red below").fill("86,5")
    page.get_by_label("Remove Glucose (capillary blood)").check()
    page.get_by_label("Add an item").select_option(label="Skin temperature")
    page.get_by_role("button", name="Add a row").click()
    page.get_by_label("Skin temperature: Yellow above").fill("40")
    page.get_by_label("Skin temperature: Source").fill("the burns unit's own rule")
    page.get_by_role("button", name="Save as a new version").click()
    # A version, and what it changes; nothing holds yet.
    expect(page.locator(".critical-state")).to_have_text("not in force")
    changed = page.get_by_role("region", name="Changes").locator("tbody tr")
    expect(changed).to_have_count(3)
    expect(changed.filter(has_text="Oxygen saturation")).to_contain_text("Red below: 85 → 86.5")
    expect(changed.filter(has_text="Oxygen saturation")).to_contain_text("Delay, s: 5 → 7")
    expect(changed.filter(has_text="Glucose")).to_contain_text("Red below: 54 → ")
    album.fill(page, "critical-values-version")
    page.goto(page.url)
    page.locator("#why").fill("agreed at the ward round")
    page.get_by_role("button", name="Put in force").click()
    expect(page.locator(".critical-state")).to_have_text("in force")
    expect(page.get_by_role("region", name="What was put in force")).to_contain_text("agreed at the ward round")
    expect(page.get_by_role("region", name="What the gateways go by")).to_contain_text("icu-east")
    album.still(page, "critical-values-in-force-en-day", (SIZES[0],))
    # A nurse sees it, and may make a version that somebody else puts in force.
    nurse = open_page("en")
    ward.sign_in(nurse, "sun.li", Role.NURSE)
    nurse.goto(f"{ward.url}/critical-values?version=0")
    expect(nurse.get_by_role("button", name="Save as a new version")).to_be_visible()
    expect(nurse.get_by_role("button", name="Put in force")).to_have_count(0)


def two_hours_were_measured(ward: SyntheticWard) -> None:
    """Three processes of the hub for two hours, the worker away for a while, a function that fails now and then."""
    ends = "date_trunc('minute', now()) - interval '1 minute'"
    figures = {
        "ingest": '{"records": 41280}',
        "web": '{"rows": 1830}',
        "worker": '{"samples_ratio": 2.61, "observation_bytes": 734003200, "observation_ratio": 0.31, "waveform_bytes": 16642998272, "waveform_ratio": 2.43}',
    }
    for role, told in figures.items():
        ward.hub.do(
            f"insert into operation_process select m, %s, '1-7', 60, %s from generate_series({ends} - interval '2 hours', {ends}, '1 minute') m"
            " where %s <> 'worker' or m not between now() - interval '40 minutes' and now() - interval '31 minutes'",
            role, told, role,
        )  # fmt: skip
    for function, calls, fastest, failed in (
        ("ingest:uplink.store:data", 240, 1, 0), ("ingest:uplink.store:alarms", 2, 0, 0), ("ingest:uplink.connect:hello", 1, 3, 0),
        ("ingest:delay:numeric", 240, 4, 0), ("ingest:delay:alarm", 2, 3, 0), ("ingest:delay:waveform", 240, 5, 0),
        ("web:ward.read:GET /ward/{ward}", 6, 2, 0), ("web:ward.read:GET /api/v1/ward/{ward}", 14, 1, 0),
        ("web:alarm.acknowledge:POST /api/v1/alarms/{alarm_id}/acknowledge", 1, 1, 0), ("web:trend.read:GET /api/v1/beds/{key}/trends", 9, 3, 0),
        ("web:reading.read:GET /api/v1/range", 5, 4, 1), ("web:search:GET /api/v1/search", 3, 2, 0), ("worker:audit.verify:job", 1, 9, 0),
    ):  # fmt: skip
        buckets = [0] * 13
        buckets[fastest], buckets[fastest + 1], buckets[fastest + 2] = calls, calls // 4, calls // 12
        ward.hub.do(
            f"insert into operation_function select m, %s, '1-7', %s, %s, case when extract(minute from m) = 17 then %s else 0 end, %s from generate_series({ends} - interval '2 hours', {ends}, '1 minute') m",
            function.partition(":")[0], function, sum(buckets), failed, buckets,
        )  # fmt: skip


def move_through_the_rows(page: Page) -> None:
    """The keys that every table of the engineers knows; the page is left at its first row."""
    rows = page.locator("table[data-rows] a.first")
    last = rows.count() - 1
    steps = (
        ("ArrowDown", 0),
        ("ArrowDown", min(1, last)),
        ("ArrowUp", 0),
        ("End", last),
        ("ArrowDown", last),
        ("Home", 0),
    )
    for key, row in steps:
        page.keyboard.press(key)
        expect(rows.nth(row)).to_be_focused()
    expect(page.locator("tr:focus-within")).to_have_count(1)


def test_an_engineer_chooses_columns_and_keeps_views_by_the_keyboard(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    ward.sign_in(page, "deng.yu", Role.ENGINEER)
    page.goto(f"{ward.url}/devices?q=monitor")
    heads = page.locator("table[data-rows] th")
    keep, columns = page.locator("details.menu summary").all()

    columns.press("Enter")
    page.get_by_role("checkbox", name="Battery").press("Space")
    page.get_by_role("checkbox", name="Gateway").press("Space")
    page.get_by_role("checkbox", name="Gateway").press("Enter")
    expect(heads).to_have_text(["Device", "State", "Where", "Door", "Gateway", "Last seen", "Serial", "Firmware"])
    expect(page).to_have_url(
        re.compile(r"/devices\?q=monitor&columns=name,state,where,door,gateway,seen,serial,firmware$")
    )
    keep.press("Enter")
    page.get_by_label("Name of the view").fill("Monitors by gateway")
    page.keyboard.press("Enter")
    expect(page.locator(".view[aria-current]")).to_have_text("Monitors by gateway")

    page.locator("table a.first").first.press("Enter")  # a device is open beside the same rows and columns
    expect(page.locator("aside.side-sheet:visible")).to_contain_text("monitor-1")
    expect(heads).to_have_count(8)
    keep.press("Enter")
    page.keyboard.press("Escape")
    expect(keep).to_be_focused()
    expect(page.locator("aside.side-sheet:visible"), "the first Esc closes the menu alone").to_contain_text("monitor-1")

    small = (SIZES[0], SIZES[2])
    page.goto(f"{ward.url}/devices?columns=name,state,admitted")
    album.fill(page, "devices-columns", lambda page: page.locator("details.menu summary").nth(1).click(), sizes=small)
    album.fill(page, "devices-views", lambda page: page.locator("details.menu summary").first.click(), sizes=small)

    page.get_by_role("link", name="Monitors by gateway").click()
    expect(heads).to_have_count(8)
    keep.click()
    page.get_by_role("button", name="Delete Monitors by gateway").click()
    expect(page.locator(".view")).to_have_count(0)
    album.still(page, "devices-view-deleted-en-day", ((390, 844),))
    page.locator(".told.undo button").click()
    expect(page.locator(".view")).to_have_text("Monitors by gateway")


def test_who_and_what_is_at_a_bed(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    page = open_page("en")
    ward.sign_in(page, "wu.min")
    page.goto(f"{ward.url}/ward/7b/bed/1/admit")
    album.fill(page, "admission")

    def known(page: Page) -> None:
        """The number of the patient at bed 2 with another name, at the empty bed."""
        page.goto(f"{ward.url}/ward/7b/bed/4/admit")
        page.fill("#number", "A-2")
        page.fill("#name", "李小红")
        page.locator("form.plate button.main").click()
        expect(page.locator("fieldset.asked input").first).to_be_visible()

    album.fill(page, "admission-asked", known)

    page.goto(f"{ward.url}/ward/7b/bed/4/admit")
    for field, value in (("number", "B-17"), ("name", "周小玲"), ("birth", "1957-04-09")):
        page.fill(f"#{field}", value)
    page.check("input[name=sex][value=female]")
    page.locator("form.plate button.main").click()
    page.wait_for_url("**/ward/7b/bed/4")
    expect(page.locator("article.bed")).to_contain_text("周**")
    lies = "select hospital_number, sex from patient join patient_association using (patient_id) join point_of_care using (point_of_care_id)"
    assert ward.hub.rows(f"{lies} where bed = '4' and upper_inf(during)") == [("B-17", "female")]


def test_the_paper_of_a_resting_ecg(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    page = open_page("en")
    ward.sign_in(page, "sun.li")
    [(document,)] = ward.hub.rows("select document_id from document")
    page.goto(f"{ward.url}/ecg/{document}")
    album.fill(page, "ecg", lambda page: expect(page.locator("polyline.ecg-line")).to_have_count(13))
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Print")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    assert page.url.endswith(f"/ecg/{document}"), "the first Esc closes the keys"


def test_the_sheets_of_the_ward_page(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    page = open_page("en")
    ward.sign_in(page, "ma.lin")

    def live(page: Page) -> None:
        expect(page.locator("article.bed[data-state='high']")).to_have_attribute("data-link", "live", timeout=20_000)
        wait_for_ink(page, "article.bed .strip canvas")

    def sheet(page: Page) -> None:
        live(page)
        page.keyboard.press("a")
        wait_for_ink(page, ".evidence canvas")

    sheet(page)
    check_the_sheet_explains_the_alarm(page)
    album.fill(page, "ward-alarm-sheet", sheet, load_themes=True)

    def menu(page: Page) -> None:
        live(page)
        page.keyboard.press("?")
        expect(page.locator("aside.sheet dl.keys")).to_be_visible()

    album.fill(page, "ward-keys", menu, load_themes=True)


def check_the_sheet_explains_the_alarm(page: Page) -> None:
    """In a sentence, with what weighed most on the strip in colour and in words, and the beats by their classes."""
    finding = page.locator("aside.sheet .finding")
    expect(finding).to_have_text(
        re.compile(
            r"^Ventricular fibrillation since \d\d:\d\d:\d\d \(.+\), confidence 72\xa0%: "
            r"no sharp QRS spikes, waves at 5 per second, in II\.$"
        )
    )
    expect(page.locator("aside.sheet .advice")).to_contain_text("Advice of a program (lethal 1)")
    expect(page.locator("aside.sheet .facts")).to_contain_text("lethal, version 1, table b90f0611502c")
    expect(page.locator("aside.sheet .reasons li")).to_have_count(6)
    told = page.get_by_role("img", name="5 beats found in this strip: 3 normal, 1 ventricular, 1 not classified")
    expect(told).to_have_attribute("aria-label", re.compile("Shaded: what weighed most, .+, II$"))
    shaded = ink_of(page.locator(".evidence canvas"), "var(--accent-2)", EXACT).columns(0.3)
    # Four seconds at 25 mm/s, but for the lines of the paper and what is drawn on it.
    width_px = shaded[-1] - shaded[0]
    assert width_px == pytest.approx(4 * 25 * ruled_px_per_mm(page.locator(".evidence canvas")), rel=0.02)


def test_a_screen_that_was_measured_with_a_card_has_a_true_millimetre_from_then_on(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    ward.sign_in(page, "qian.li")
    strip = "article.bed .strip canvas"
    wait_for_ink(page, strip)
    assert five_mm_px(page, strip) == pytest.approx(5 * 96 / 25.4, abs=0.2), (
        "96 px an inch, until somebody knows better"
    )
    page.keyboard.press("?")
    page.get_by_role("button", name="Match the screen").click()
    page.locator("aside.sheet input[type=range]").fill("6")
    card = page.locator("aside.sheet .bank").bounding_box()
    assert card is not None
    assert card["width"] == pytest.approx(85.6 * 6, abs=1), "a bank card (ISO/IEC 7810 ID-1) beside it is as wide"
    album.still(page, "ward-calibration-en-night")
    page.set_viewport_size(USUAL)
    page.get_by_role("button", name="Keep").click()
    expect(page.locator("aside.sheet [role=status]")).not_to_be_empty()
    assert five_mm_px(page, strip) == pytest.approx(30, abs=0.2)
    page.reload()
    wait_for_ink(page, strip)
    assert five_mm_px(page, strip) == pytest.approx(30, abs=0.2)


def test_a_bed_with_its_past(ward: SyntheticWard, open_page: Callable[..., Page], album: Album) -> None:
    strap = SourcePath("monitor-2", ("heart_rate",))
    ward.send(Lane.NUMERIC, Observation(strap, HEART_RATE, 71.0, "/min", Times(now_ns())))
    write_past(ward.hub.database.admin_url, "monitor-2")
    page = open_page("en")
    ward.sign_in(page, "he.jun")
    page.goto(f"{ward.url}/ward/7b/bed/2")

    def live(page: Page) -> None:
        expect(page.locator("article.bed")).to_have_attribute("data-link", "live", timeout=20_000)
        expect(page.locator("figure.chart canvas").first).to_be_visible(timeout=10_000)
        expect(page.locator("#story-list li.is-alarm")).not_to_have_count(0)
        expect(page.locator("#story-list li", has_text=re.compile("oximeter-1"))).to_contain_text(re.compile("73"))
        # two that measure the same are told apart, in the legend and in the time-line
        legend = page.locator("figure.chart figcaption").first
        expect(legend.locator("b")).to_have_count(2)
        expect(legend.locator("b:not(.another)")).to_contain_text(re.compile(r"\S+ monitor-2$"))
        expect(legend.locator("b.another")).to_contain_text("monitor-2/heart_rate")
        expect(page.locator("#story-list li.is-vital", has_text="monitor-2/heart_rate")).not_to_have_count(0)
        wait_for_ink(page, "article.bed .strip canvas")

    album.fill(page, "bed", live)

    def review(page: Page) -> None:
        """The strip of a moment ago, the trends closer around it; the field of its moment in the words of each language."""
        live(page)
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".review-when input")).to_be_visible()
        with page.expect_response("**/trends?*"):
            page.keyboard.press("+")
        wait_for_ink(page, ".review-paper canvas")

    album.fill(page, "bed-review", review, load_themes=True)

    def limits(page: Page) -> None:
        live(page)
        page.locator("body").press("l")
        expect(page.locator("aside.sheet .limit-row").first).to_be_visible()

    album.fill(page, "bed-limits", limits)

    engineer = open_page("en", width=390, height=844)
    ward.sign_in(engineer, "lin.hao", Role.ENGINEER)
    engineer.goto(page.url)
    engineer.locator("#tab-devices").click()
    expect(engineer.locator("#story-list li.is-device a")).not_to_have_count(0, timeout=20_000)
    album.still(engineer, "bed-devices-en-day", ((390, 844),))

    here = page.url
    page.locator("body").press("/")
    search = page.locator("#find")
    expect(search).to_be_focused()
    search.fill("ventricular")
    expect(page.locator(".find-bar")).to_contain_text("Enter: Bed 1")
    search.fill("zhang")
    expect(page.locator(".find-bar")).to_contain_text("Enter: Bed 2")
    search.fill("zhangwei")  # the mask shows the first character alone
    expect(page.locator(".find-bar")).to_contain_text("No bed matches")
    search.fill("bed of nobody")
    expect(page.locator(".find-bar")).to_contain_text("No bed matches")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(search).to_have_count(0)
    expect(page.locator("aside.sheet .limit-row").first).to_be_visible()
    assert page.url == here, "looking for a bed does not leave this one, nor close what is open"
    page.keyboard.press("/")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ward/7b/bed/4")


def test_an_alarm_opened_from_a_link_shows_its_evidence_and_is_acknowledged_with_the_keyboard(
    ward: SyntheticWard, open_page: Callable[..., Page], album: Album
) -> None:
    page = open_page("en")
    ward.sign_in(page, "gao.yan")
    [(alarm,)] = ward.hub.rows("select alarm_id from alarm where code = %s", V_FIB)
    # As in a message: a link that is followed on its own.
    page.evaluate(
        "(to) => document.body.append(Object.assign(document.createElement('a'), { href: to, id: 'message', textContent: 'x' }))",
        f"/alarm/{alarm}",
    )
    page.locator("#message").click(force=True)
    page.wait_for_url(f"**/alarm/{alarm}")
    expect(page.locator("h2")).to_contain_text("Ventricular fibrillation")

    def drawn(page: Page) -> None:
        wait_for_ink(page, ".evidence canvas", 1000)

    drawn(page)
    # 10 s at 25 mm/s: the trace crosses the whole paper, so there is ink of it in most of its columns.
    assert ink(page, ".evidence canvas") > 10 * 25 * 3.7
    assert ink(page, ".evidence canvas", "high-line") > 20, "the moment of the decision"
    album.fill(page, "alarm", drawn, load_themes=True)

    page.keyboard.press("?")
    expect(page.locator("dl.keys")).to_contain_text("acknowledge the alarm")
    page.keyboard.press("Escape")
    expect(page.locator("dl.keys")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.locator("aside.sheet .done")).to_contain_text("Gao.Yan")
    assert ward.hub.rows("select acknowledged_by is not null from alarm where alarm_id = %s", alarm) == [(True,)]
    for lang, seen in (("zh_Hans", "心室颤动"), ("en", "Ventricular fibrillation")):
        album.choose(page, lang, "")
        page.reload()
        expect(page.locator("h2")).to_contain_text(seen)
        expect(page.locator("aside.sheet .done")).to_be_visible()
        assert album.barriers(page) == []
    page.keyboard.press("w")
    page.wait_for_url("**/ward/7b")


def test_what_is_printed_on_a4_is_light_says_whose_it_is_and_has_true_millimetres(
    ward: SyntheticWard, open_page: Callable[..., Page], captures: Path, pictures: Path
) -> None:
    [(alarm,)] = ward.hub.rows("select alarm_id from alarm where code = %s", V_FIB)
    [(document,)] = ward.hub.rows("select document_id from document")
    page = open_page("en")
    ward.sign_in(page, "tan.lei")
    # Paper has its own millimetre, whatever somebody has measured on this screen.
    page.evaluate("localStorage.setItem('wardlink.px-per-mm', '6')")

    page.goto(f"{ward.url}/alarm/{alarm}")
    wait_for_ink(page, ".evidence canvas", 1000)
    (sheet,) = printed(page, pictures / "print-alarm.pdf")
    assert (sheet.width_mm, sheet.height_mm) == pytest.approx((297, 210), abs=0.5)
    assert sheet.says(
        "Bed 1 · Ventricular fibrillation", "李*", "7B · since", "by Tan.Lei", "10 mm/mV", "25 mm/s", "decided"
    )
    assert not sheet.says("Silences")
    assert not sheet.says("alarms do not sound")
    assert sheet.pitch_mm("#efc9c9") == pytest.approx(5, abs=0.02)
    # 10 s at 25 mm/s, with ink in each column
    assert sheet.of_colour("#0f7a3d", 60).any(axis=0).sum() / DOTS_PER_MM == pytest.approx(250, abs=5)
    assert page.locator("html").get_attribute("data-theme") == "night", "the screen is as it was"
    wait_for_ink(page, ".evidence canvas", 1000)

    page.goto(f"{ward.url}/ecg/{document}")
    expect(page.locator("polyline.ecg-line")).to_have_count(13)
    (ecg,) = printed(page, pictures / "print-ecg.pdf")
    assert (ecg.width_mm, ecg.height_mm) == pytest.approx((297, 210), abs=0.5)
    assert ecg.says(
        "12-lead ECG · Bed 3", "7B · recorded", "by Tan.Lei", "25 mm/s · 10 mm/mV", "aVR", "V6", "Heart rate"
    )
    assert not ecg.says("True size")
    assert not ecg.says("alarms do not sound")
    assert ecg.pitch_mm("#efc9c9") == pytest.approx(5, abs=0.02)
    truth = read_record(captures / "ludb-101-af")
    ii = truth.physical()[[signal.description.upper() for signal in truth.header.signals].index("II")]
    # the row of lead II is the lowest: its middle 108.5 mm beneath the first line, behind a pulse, beneath its name
    left, top = ecg.ruled_mm("#efc9c9", 0)[0], ecg.ruled_mm("#efc9c9", 1)[0]
    curve = recognise(ecg.edge("#16212b", left + 35, top + 99.5, left + 235, top + 122), DOTS_PER_MM, ii, truth.fs_hz)
    print(f"the last row of the sheet is {curve}")
    assert curve.correlation > 0.97
    assert curve.mm_per_s == pytest.approx(25, rel=0.006)
    assert curve.mm_per_mv == pytest.approx(10, rel=0.04)

    write_past(ward.hub.database.admin_url, "monitor-1")
    page.goto(f"{ward.url}/ward/7b/bed/1")
    expect(page.locator("figure.chart canvas").first).to_be_visible(timeout=10_000)
    page.locator("#story-list li.is-alarm", has_text="141").locator(".row-button").click()
    wait_for_ink(page, ".review-paper canvas")
    (bed,) = printed(page, pictures / "print-bed.pdf")
    assert (bed.width_mm, bed.height_mm) == pytest.approx((210, 297), abs=0.5)
    assert bed.says(
        "Bed 1 · 7B", "李*", "Printed", "by Tan.Lei", "HR /min", "SpO₂ %", "HR 141 above 130 /min", "25 mm/s"
    )
    assert not bed.says("8 h")
    assert not bed.says("Time-line")
    assert bed.pitch_mm("#efc9c9") == pytest.approx(5, abs=0.03), "the strip of the past that was open"
    for trace in ("#0f7a3d", "#04697f", "#7a5d00"):
        assert bed.of_colour(trace).any(axis=0).mean() > 0.3, "the curve is there"
