"""The aECG reader against files of carts and of the standard's authors, and against a writer that shares nothing with it."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_adapters.simulate.aecg import MICROVOLT_PER_DIGIT, Recording, deliver, file_of, measure, recording_of
from protocols.ecgfile.aecg import AnnotatedEcg, decode
from protocols.ecgfile.wfdb import Annotation, read_record
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_DEVICE_SEEN, HEART_RATE, lead
from protocols.record import DeviceEvent, Document, Observation, WaveformGroup

NS = 1_000_000_000
AT = 1_790_000_000 * NS
BEGIN = datetime(2026, 3, 1, 9, 30, 15, 250_000, timezone(timedelta(hours=8)))
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
# A file as short as the standard allows; tests change one thing in it.
SHORT = """<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="61d1a24f"/><effectiveTime><center value="20021122091000"/></effectiveTime>
<component><series><code code="RHYTHM"/><effectiveTime><low value="20021122091000"/></effectiveTime>
<component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20021122091000"/>
<increment value="0.002" unit="s"/></value></sequence></component>
<component><sequence><code code="MDC_ECG_LEAD_II"/><value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/>
<scale value="2.5" unit="uV"/><digits>-2 3 -40 </digits></value></sequence></component>
</sequenceSet></component>
<subjectOf><annotationSet><component><annotation><code code="MDC_ECG_HEART_RATE"/>
<value xsi:type="PQ" value="57" unit="bpm"/></annotation></component></annotationSet></subjectOf>
</series></component></AnnotatedECG>"""


def read(text: str) -> AnnotatedEcg:
    return decode(text.encode(), "cart", AT)


def waveforms(ecg: AnnotatedEcg) -> list[WaveformGroup]:
    return [r for r in ecg.records if isinstance(r, WaveformGroup)]


def readings(ecg: AnnotatedEcg) -> dict[str, float | str]:
    return {
        r.code: r.value
        for r in ecg.records
        if isinstance(r, Observation) and r.source.path == ("recorded", "measurements")
    }


def faults(ecg: AnnotatedEcg) -> list[Fault]:
    return [r for r in ecg.records if isinstance(r, Fault)]


@pytest.fixture
def carts(recordings: Path) -> Path:
    return recordings / "files" / "aecg"


@pytest.mark.recordings("files/aecg")
def test_the_example_of_the_standard_is_read_whole(carts: Path) -> None:
    data = (carts / "example_aecg.xml").read_bytes()
    ecg = decode(data, "cart", AT)
    (group,) = waveforms(ecg)
    assert set(group.leads) == {lead(name) for name in TWELVE}
    assert (group.n, group.fs_hz, group.scales[0].gain) == (5000, 500.0, 2.5)
    assert group.array()[0][:5].tolist() == [-2, -2, -2, -2, -3]  # lead I as printed
    assert group.times.device_ns == int(datetime(2002, 11, 22, 9, 10, tzinfo=UTC).timestamp()) * NS
    assert readings(ecg)["MDC_ECG_TIME_PD_QT"] == 420
    beats = [
        r for r in ecg.records if isinstance(r, Observation) and r.source.path == ("recorded", "measurements", "beat")
    ]
    assert {r.value for r in beats if r.code == "MDC_ECG_TIME_PD_PR"} == {148}
    first = min(r.times.device_ns or 0 for r in beats)
    assert first - (group.times.device_ns or 0) == 122_000_000  # the first P wave begins at 09:10:00.122
    assert not faults(ecg)
    assert ecg.document_id == "61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"
    assert next(r.content for r in ecg.records if isinstance(r, Document)) == data


@pytest.mark.recordings("files/aecg")
def test_a_carts_own_file_gives_its_measurements_and_its_maker(carts: Path) -> None:
    ecg = decode((carts / "hl7aecg_example.xml").read_bytes(), "cart", AT, zone=timezone(timedelta(hours=2)))
    (group,) = waveforms(ecg)
    assert (len(group.leads), group.n, group.fs_hz) == (12, 1000, 100.0)
    assert ecg.begin_ns == int(datetime(2025, 9, 23, 8, 35, 50, tzinfo=UTC).timestamp()) * NS
    found = readings(ecg)
    assert (found[HEART_RATE], found["MDC_ECG_TIME_PD_PR"], found["MDC_ECG_TIME_PD_QRS"]) == (57, 192, 88)
    assert found["MDC_ECG_INTERPRETATION_SUMMARY"] == "ECG limite"
    event = next(r for r in ecg.records if isinstance(r, DeviceEvent) and r.code == EVT_DEVICE_SEEN)
    assert dict(event.params)["model"] == "BeneHeart R12"
    assert dict(event.params)["serial"] == "FN-3A045256"
    # the cart writes 0 ms for a QTc that it has computed by another formula: no reading, and not lost silently
    assert [f.found for f in faults(ecg)] == ["0"]
    assert "MDC_ECG_TIME_PD_QTc" in faults(ecg)[0].where


@pytest.mark.recordings("files/aecg")
@pytest.mark.parametrize(
    "kind", ["", "_effectiveTime_high", "_effectiveTime_interval", "_effectiveTime_low", "_nouuid"]
)
def test_the_shortest_files_are_read(carts: Path, kind: str) -> None:
    ecg = decode((carts / f"minimum_aecg{kind}.xml").read_bytes(), "cart", AT)
    (group,) = waveforms(ecg)
    assert group.array()[0].tolist() == [-2, -2, -2, -2, -3, -4, -3, -5, -5, -4, -6, -9, -9]
    assert ecg.subject is not None
    assert ecg.subject.ids[0][1] == "SBJ-123"


@pytest.mark.recordings("files/aecg")
def test_a_file_without_a_series_is_refused(carts: Path) -> None:
    with pytest.raises(DecodeError, match="a series with a readable lead"):
        decode((carts / "empty.xml").read_bytes(), "cart", AT)


@pytest.mark.recordings("ludb")
def test_what_the_independent_writer_wrote_of_a_record_is_read_back(recordings: Path) -> None:
    record = read_record(recordings / "ludb" / "1")
    written = recording_of(recordings / "ludb" / "1", BEGIN, subject="B-17")
    ecg = decode(file_of(written), "cart", AT)
    (group,) = waveforms(ecg)
    assert group.leads == tuple(lead(s.description) for s in record.header.signals)
    assert (group.n, group.fs_hz) == (5000, 500.0)
    assert np.abs(group.physical() - record.physical() * 1e3).max() <= MICROVOLT_PER_DIGIT / 2 + 1e-9
    assert group.times.device_ns == int(BEGIN.timestamp() * 1000) * 1_000_000
    found = readings(ecg)
    assert 45 < float(found[HEART_RATE]) < 110
    assert found["MDC_ECG_TIME_PD_QRS"] == written.measured["MDC_ECG_TIME_PD_QRS"][0]
    assert ecg.subject is not None
    assert ecg.subject.ids == (("2.25.1", "B-17"),)
    assert b"B-17" in ecg.subject.plain()
    assert not faults(ecg)


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(TWELVE), min_size=1, max_size=12, unique=True),
    st.integers(1, 60),
    st.sampled_from([100.0, 250.0, 500.0, 1000.0]),
    st.integers(0, 2**31 - 1),
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 2**32 - 1),
)
def test_any_recording_comes_back_as_it_was_written(
    leads: list[str], n: int, fs_hz: float, second: int, offset_min: int, seed: int
) -> None:
    digits = np.random.default_rng(seed).integers(-40_000, 40_000, (len(leads), n))
    begin = datetime.fromtimestamp(second, timezone(timedelta(minutes=offset_min)))
    written = Recording(
        digits.astype(np.float64) * MICROVOLT_PER_DIGIT,
        leads,
        fs_hz,
        begin,
        "A & <B>",
        {HEART_RATE: (61, "/min")},
        ["<sinus>"],
    )
    ecg = decode(file_of(written), "cart", AT)
    (group,) = waveforms(ecg)
    assert group.array().tolist() == digits.tolist()
    assert group.leads == tuple(lead(name) for name in leads)
    assert (group.fs_hz, group.times.device_ns, ecg.begin_ns) == (fs_hz, second * NS, second * NS)
    assert readings(ecg) == {HEART_RATE: 61, "MDC_ECG_INTERPRETATION_STATEMENT": "<sinus>"}


def test_two_files_of_a_cart_never_share_a_sample_number() -> None:
    first, second = read(SHORT), read(SHORT.replace("20021122091000", "20021122091010"))
    (a,), (b,) = waveforms(first), waveforms(second)
    assert b.first_sample - a.first_sample == 10 * 500


def test_a_long_recording_becomes_groups_that_follow_each_other() -> None:
    ecg = read(SHORT.replace("-2 3 -40", " ".join(map(str, range(12_345)))))
    groups = waveforms(ecg)
    assert [g.n for g in groups] == [5000, 5000, 2345]
    assert [v for g in groups for v in g.array()[0].tolist()] == list(range(12_345))
    assert groups[1].first_sample == groups[0].end_sample
    assert (groups[1].times.device_ns or 0) - (groups[0].times.device_ns or 0) == 10 * NS


def test_samples_beyond_16_bit_and_other_units_keep_their_values() -> None:
    ecg = read(
        SHORT.replace("-40", "-400000")
        .replace('"2.5" unit="uV"', '"0.001" unit="mV"')
        .replace('"0" unit="uV"', '"5" unit="uV"')
    )
    (group,) = waveforms(ecg)
    assert group.dtype == "<i4"
    assert group.physical()[0].tolist() == [3.0, 8.0, -399_995.0]


def test_a_relative_time_counts_from_the_series_begin() -> None:
    head = '<code code="TIME_RELATIVE"/><value xsi:type="GLIST_PQ"><head value="250" unit="ms"/>'
    text = SHORT.replace('<code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20021122091000"/>', head)
    assert read(text).begin_ns == read(SHORT).begin_ns + 250_000_000


@pytest.mark.parametrize(("old", "new", "where", "found"), [
    ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_X9", "MDC_ECG_LEAD_X9", "X9"),
    ("SLIST_PQ", "GLIST_PQ", "MDC_ECG_LEAD_II", "GLIST_PQ"),
    ("-2 3 -40", "-2 3 4.5", "sample 2", "4.5"),
    ("-2 3 -40", "", "digits", "0"),
    ("-2 3 -40", "99999999999", "sample 0", "99999999999"),
    ('scale value="2.5" unit="uV"', 'scale value="2.5" unit="furlong"', "scale", "furlong"),
    ('scale value="2.5"', 'scale value="0"', "scale", "0"),
    ('scale value="2.5"', 'scale value="nan"', "scale", "nan"),
    ('increment value="0.002"', 'increment value="0"', "increment", "0.0 s"),
    ('head value="20021122091000"', 'head value="20021322091000"', "head", "20021322091000"),
    ('head value="20021122091000"', 'head value="2002"', "head", "2002"),
    ("TIME_ABSOLUTE", "MDC_LOST", "MDC_LOST", "MDC_LOST"),
    ("TIME_ABSOLUTE", "MDC_LOST", "sequence set 1", "1 leads"),
])  # fmt: skip
def test_a_part_that_cannot_be_read_says_where_and_what_was_found(old: str, new: str, where: str, found: str) -> None:
    with pytest.raises(DecodeError) as refused:
        read(SHORT.replace(old, new))
    assert where in str(refused.value)
    assert found in str(refused.value)


def test_an_effective_time_that_cannot_be_read_costs_nothing_where_the_samples_have_their_own() -> None:
    ecg = read(SHORT.replace('<low value="20021122091000"/>', '<low value="yesterday"/>'))
    assert len(waveforms(ecg)) == 1
    assert [f.found for f in faults(ecg)] == ["yesterday"]


def test_one_bad_lead_leaves_the_others() -> None:
    good = SHORT[SHORT.index('<component><sequence><code code="MDC_ECG_LEAD_II"/>') : SHORT.index("</sequenceSet>")]
    bad = good.replace("LEAD_II", "LEAD_V1").replace("-40", "four")
    short = good.replace("LEAD_II", "LEAD_V2").replace("-40", "")
    third = good.replace("LEAD_II", "LEAD_V3")
    ecg = read(SHORT.replace("</sequenceSet>", f"{bad}{short}{third}{good}</sequenceSet>"))
    (group,) = waveforms(ecg)
    assert group.leads == (lead("II"), lead("V3"))
    assert [(f.expected, f.found) for f in faults(ecg)] == [
        ("a whole number of at most ten digits", "four"),
        ("each lead once", "a second one"),
        ("3 samples as in the other leads", "2"),
    ]


@pytest.mark.parametrize(
    ("value", "unit"), [("57", "furlong"), ("0", "bpm"), ("900", "bpm"), ("inf", "bpm"), ("", "bpm")]
)
def test_a_measurement_that_cannot_be_is_reported_and_not_delivered(value: str, unit: str) -> None:
    ecg = read(SHORT.replace('value="57" unit="bpm"', f'value="{value}" unit="{unit}"'))
    assert readings(ecg) == {}
    assert [HEART_RATE in f.where for f in faults(ecg)] == [True]
    assert len(waveforms(ecg)) == 1


def test_seconds_become_the_milliseconds_of_the_table() -> None:
    text = SHORT.replace("MDC_ECG_HEART_RATE", "MDC_ECG_TIME_PD_QT").replace('"57" unit="bpm"', '"0.4" unit="s"')
    assert readings(read(text)) == {"MDC_ECG_TIME_PD_QT": 400}


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "'
    + "x" * 1000
    + '"><!ENTITY b "'
    + "&a;" * 1000
    + '"><!ENTITY c "'
    + "&b;" * 1000
    + '">]>'
)


@pytest.mark.parametrize("text", [
    BOMB + SHORT.replace("<id ", "<title>&c;</title><id "),
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + SHORT.replace("<id ", "<title>&f;</title><id "),
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + SHORT,
], ids=["entities within entities", "an external entity", "an external document type"])  # fmt: skip
def test_xml_that_asks_for_more_than_itself_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="without document type"):
        read(text)


def test_a_file_of_too_many_elements_or_levels_is_refused_early() -> None:
    with pytest.raises(DecodeError, match="at most 300000 elements"):
        read(SHORT.replace("<id ", "<a/>" * 300_000 + "<id "))
    with pytest.raises(DecodeError, match="at most 64 levels"):
        read("<AnnotatedECG>" + "<a>" * 100_000)
    with pytest.raises(DecodeError, match="at most 33554432 bytes"):
        decode(b" " * 33_554_433, "cart", AT)


@pytest.mark.parametrize(("data", "expected"), [
    (b"", "well-formed XML"),
    (b"\xff\xfe\x00", "well-formed XML"),
    (SHORT.encode()[:-1], "well-formed XML"),
    (b"<?xml version='1.0' encoding='no-such'?><a/>", "well-formed XML"),
    (b"<html/>", "AnnotatedECG"),
])  # fmt: skip
def test_what_is_no_aecg_file_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(DecodeError, match=expected):
        decode(data, "cart", AT)


@settings(max_examples=200)
@given(st.data())
def test_a_file_with_changed_bytes_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    changed = bytearray(SHORT.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        ecg = decode(bytes(changed), "cart", AT)
    except DecodeError:
        return
    assert waveforms(ecg)


def test_measurements_are_medians_of_the_marked_beats() -> None:
    def wave(kind: str, on: int, peak: int, off: int) -> list[Annotation]:
        return [Annotation(on, "("), Annotation(peak, kind), Annotation(off, ")")]

    marks = [
        mark
        for beat in (0, 500, 1000)
        for mark in (*wave("p", beat + 10, beat + 30, beat + 50), *wave("N", beat + 90, beat + 110, beat + 140),
                     *wave("t", beat + 200, beat + 250, beat + 290))
    ]  # fmt: skip
    assert measure(marks, 500.0) == {
        "MDC_ECG_TIME_PD_PR": (160, "ms"),
        "MDC_ECG_TIME_PD_QRS": (100, "ms"),
        "MDC_ECG_TIME_PD_QT": (400, "ms"),
        "MDC_ECG_HEART_RATE": (60, "bpm"),
    }


def test_a_delivered_file_appears_whole(tmp_path: Path) -> None:
    place = deliver(SHORT.encode(), tmp_path, "one.xml")
    assert [p.name for p in tmp_path.iterdir()] == ["one.xml"]
    assert place.read_text() == SHORT
