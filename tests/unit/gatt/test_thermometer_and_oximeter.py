"""Thermometers and pulse oximeters: the printed examples, units, and values that are no numbers."""

from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError, Fault
from protocols.gatt.battery import LEVEL
from protocols.gatt.health import health_device
from protocols.gatt.pulse_oximeter import CONTINUOUS, SPOT, PulseOximeter
from protocols.gatt.thermometer import MEASUREMENT, TYPE, Thermometer
from protocols.nomenclature import EVT_OXIMETER_STATUS, PULSE_RATE, SPO2
from protocols.record import DeviceEvent, Observation, Quality, SourcePath

PROBE = SourcePath("probe")
AT = 1_800_000_000_000_000_000
PRINTED = bytes.fromhex("06 77 01 00 FF EA 07 03 0F 0E 1E 05 02")
PRINTED_NS = 1_773_585_005_000_000_000  # date -u -d 2026-03-15T14:30:05 +%s


def temperature(data: bytes, probe: Thermometer | None = None) -> Observation:
    """The one reading in it."""
    (reading,) = (probe or Thermometer(PROBE)).records(data, AT)
    assert isinstance(reading, Observation)
    return reading


def test_the_printed_temperature_is_read_as_printed():
    reading = temperature(PRINTED)
    assert (reading.value, reading.unit, reading.site) == (37.5, "Cel", "body")
    assert reading.times.device_ns == PRINTED_NS


def test_local_time_becomes_universal_time():
    reading = temperature(PRINTED, Thermometer(PROBE, ZoneInfo("Asia/Shanghai")))
    assert reading.times.device_ns == PRINTED_NS - 8 * 3600 * 1_000_000_000


def test_fahrenheit_becomes_celsius_exactly():
    # 986 * 10^-1 degrees Fahrenheit are 37 degrees Celsius
    reading = temperature(bytes.fromhex("01 DA 03 00 FF"))
    assert (reading.value, reading.unit) == (37.0, "Cel")


@given(st.integers(-2000, 2000))
def test_every_tenth_of_a_degree_is_read_back(tenths: int):
    data = b"\0" + (tenths % (1 << 24)).to_bytes(3, "little") + b"\xff"
    assert temperature(data).value == tenths / 10


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("00 FF FF 7F 00", "expected a finite number, found NaN"),
        ("00 FE FF 7F 00", "found \\+INF"),
        ("04 77 01 00 FF", "temperature type"),
        ("02 77 01 00 FF EA 07 02 1E 0E 1E 05", "one that the calendar has"),
        ("00 77 01 00", "4 bytes, found 3"),
        ("00 77 01 00 FF 02", "the end of the value"),
    ],
)
def test_what_is_no_temperature_says_why(data: str, said: str):
    with pytest.raises(DecodeError, match=said):
        Thermometer(PROBE).records(bytes.fromhex(data), AT)


def test_a_thermometer_without_a_date_is_read_without_one():
    reading = temperature(bytes.fromhex("02 77 01 00 FF 00 00 00 00 0E 1E 05"))
    assert reading.times.device_ns is None


def test_a_thermometer_that_tells_its_site_once_need_not_tell_it_each_time():
    probe = Thermometer(PROBE)
    probe.take_type(b"\x07")
    bare, own = bytes.fromhex("00 77 01 00 FF"), bytes.fromhex("04 77 01 00 FF 01")
    assert [temperature(data, probe).site for data in (bare, own, bare)] == ["rectum", "axilla", "rectum"]
    with pytest.raises(DecodeError, match="temperature type: expected 1 to 9, found 0"):
        probe.take_type(b"\0")
    assert temperature(bare, probe).site == ""


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_a_reserved_type_costs_the_site_and_not_the_temperature_and_is_told_once(kind: int):
    probe = Thermometer(PROBE)
    probe.take_type(b"\x07")
    data, known = bytes.fromhex("04 77 01 00 FF") + bytes([kind]), bytes.fromhex("04 77 01 00 FF 06")
    reading, fault = probe.records(data, AT)
    assert isinstance(reading, Observation)
    assert (reading.value, reading.site) == (37.5, "")
    where = "temperature measurement, temperature type"
    assert fault == Fault("probe", where, "1 to 9", f"{kind}", data, AT)
    assert [len(probe.records(one, AT)) for one in (data, known, data)] == [1, 1, 2]


def test_a_spot_check_is_read_with_its_time_unless_its_clock_was_never_set():
    # 97 %, 72 /min, 2026-03-15 14:30:05, validated
    data = bytes.fromhex("03 61 00 48 00 EA 07 03 0F 0E 1E 05 80 00")
    for flags, device_ns in ((0x03, PRINTED_NS), (0x13, None)):
        out = PulseOximeter(PROBE).spot(bytes([flags]) + data[1:], AT)
        assert [(r.code, r.value) for r in out if isinstance(r, Observation)] == [(SPO2, 97.0), (PULSE_RATE, 72.0)]
        assert {r.times.device_ns for r in out} == {device_ns}
    with pytest.raises(DecodeError, match="spot-check measurement, seconds at byte 11"):
        PulseOximeter(PROBE).spot(data[:11], AT)


def test_the_printed_saturation_is_read_as_printed():
    out = PulseOximeter(PROBE).records(bytes.fromhex("04 61 00 48 00 20 00"), AT)
    assert [(r.code, r.value, r.unit, r.quality) for r in out if isinstance(r, Observation)] == [
        (SPO2, 97.0, "%", Quality.GOOD),
        (PULSE_RATE, 72.0, "/min", Quality.GOOD),
    ]
    assert len(out) == 2


def test_a_missing_saturation_makes_no_observation_and_is_told_once():
    oximeter = PulseOximeter(PROBE)
    missing = bytes.fromhex("00 FF 07 48 00")
    first, second = (oximeter.records(missing, AT) for _ in range(2))
    assert [r.code for r in first] == [PULSE_RATE, EVT_OXIMETER_STATUS]
    assert isinstance(first[1], DeviceEvent)
    assert first[1].params == ((SPO2, "NaN"),)
    assert [r.code for r in second] == [PULSE_RATE]
    again = oximeter.records(bytes.fromhex("00 61 00 48 00"), AT)
    assert isinstance(again[-1], DeviceEvent)
    assert again[-1].params == ()


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (1 << 11, Quality.LEAD_OFF),  # sensor unconnected to user
        (1 << 15, Quality.LEAD_OFF),  # sensor disconnected
        (1 << 1, Quality.UNUSABLE),  # equipment malfunction
        (1 << 14, Quality.UNUSABLE),  # sensor malfunctioning
        (1 << 4, Quality.QUESTIONABLE),  # poor signal
        (1 << 5, Quality.GOOD),  # low perfusion
        (1 << 10, Quality.QUESTIONABLE),  # interference
    ],
)
def test_the_device_status_decides_how_far_a_reading_may_be_used(status: int, quality: Quality):
    out = PulseOximeter(PROBE).records(bytes.fromhex("08 61 00 48 00") + status.to_bytes(3, "little"), AT)
    assert {r.quality for r in out if isinstance(r, Observation)} == {quality}


@pytest.mark.parametrize(("bit", "quality"), [(7, Quality.GOOD), (14, Quality.QUESTIONABLE), (15, Quality.UNUSABLE)])
def test_the_measurement_status_decides_too(bit: int, quality: Quality):
    out = PulseOximeter(PROBE).records(bytes.fromhex("04 61 00 48 00") + (1 << bit).to_bytes(2, "little"), AT)
    assert {r.quality for r in out if isinstance(r, Observation)} == {quality}


def test_a_demonstration_is_no_patient():
    with pytest.raises(DecodeError, match="demonstration"):
        PulseOximeter(PROBE).records(bytes.fromhex("04 61 00 48 00 00 04"), AT)


@given(st.binary(max_size=30))
def test_no_bytes_break_either(data: bytes):
    with suppress(DecodeError):
        Thermometer(PROBE).records(data, AT)
    with suppress(DecodeError):
        PulseOximeter(PROBE).records(data, AT)
    with suppress(DecodeError):
        PulseOximeter(PROBE).spot(data, AT)
    for channel in (MEASUREMENT, TYPE, CONTINUOUS, SPOT, LEVEL, "x"):
        out = health_device("probe").feed(data, AT, channel)
        assert all(f.raw == data and f.expected for f in out if isinstance(f, Fault))
