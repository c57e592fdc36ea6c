"""Blood pressure cuffs and scales: the printed examples, units, and values that are no numbers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError, Fault
from protocols.gatt.blood_pressure import BloodPressure
from protocols.gatt.weight_scale import WeightScale
from protocols.nomenclature import PULSE_RATE_CUFF
from protocols.record import Observation, Quality, SourcePath

CUFF = SourcePath("cuff")
AT = 1_800_000_000_000_000_000
PRINTED = bytes.fromhex("1E 80 00 52 00 61 00 EA 07 03 0F 0E 1E 05 48 00 01 04 00")
PRINTED_NS = 1_773_585_005_000_000_000  # date -u -d 2026-03-15T14:30:05 +%s
SYS, DIA, MEAN = (f"MDC_PRESS_BLD_NONINV_{part}" for part in ("SYS", "DIA", "MEAN"))


def readings(data: bytes) -> dict[str, float | str]:
    return {r.code: r.value for r in BloodPressure(CUFF).records(data, AT) if isinstance(r, Observation)}


def test_the_printed_pressure_is_read_as_printed():
    out = BloodPressure(CUFF).records(PRINTED, AT)
    assert readings(PRINTED) == {SYS: 128.0, DIA: 82.0, MEAN: 97.0, PULSE_RATE_CUFF: 72.0}
    assert all(isinstance(r, Observation) and r.times.device_ns == PRINTED_NS for r in out)
    # the irregular pulse that its status tells is the patient's, and no doubt about the reading
    assert {r.quality for r in out if isinstance(r, Observation)} == {Quality.GOOD}


def test_kilopascal_become_millimetres_of_mercury():
    # 160 * 10^-1 kPa; 1 mm[Hg] = 133.322 Pa
    assert readings(bytes.fromhex("01 A0 F0 FF 07 FF 07")) == {SYS: pytest.approx(120.0102, abs=1e-4)}


def test_what_a_cuff_does_not_measure_is_left_out_and_an_infinite_pressure_is_a_fault_beside_the_others():
    out = BloodPressure(CUFF).records(bytes.fromhex("00 FE 07 52 00 FF 07"), AT)
    assert [r.code for r in out if isinstance(r, Observation)] == [DIA]
    (fault,) = [r for r in out if isinstance(r, Fault)]
    assert str(fault) == "cuff: blood pressure measurement, systolic: expected a finite number, found +INF"


@pytest.mark.parametrize(
    ("status", "quality"), [(0x01, "questionable"), (0x02, "questionable"), (0x20, "questionable")]
)
def test_a_moving_arm_a_loose_cuff_and_a_wrong_position_are_doubts(status: int, quality: str):
    out = BloodPressure(CUFF).records(PRINTED[:-2] + bytes([status, 0]), AT)
    assert {r.quality.value for r in out if isinstance(r, Observation)} == {quality}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("00 FF 07 FF 07 FF 07", "expected a finite number in one of them, found NaN"),
        ("00 80 00 52 00 61", "mean at byte 5: expected 2 bytes, found 1"),
        ("00 80 00 52 00 61 00 01", "the end of the value"),
    ],
)
def test_what_is_no_pressure_says_why(data: str, said: str):
    with pytest.raises(DecodeError, match=said):
        BloodPressure(CUFF).records(bytes.fromhex(data), AT)


def test_the_printed_weight_is_read_as_printed():
    (reading,) = WeightScale(CUFF).records(bytes.fromhex("02 A4 38 EA 07 03 0F 07 00 00"), AT)
    assert (reading.value, reading.unit) == (72.5, "kg")
    assert reading.times.device_ns == PRINTED_NS - (7 * 3600 + 30 * 60 + 5) * 1_000_000_000


def test_pounds_become_kilograms_and_a_weighing_that_failed_is_refused():
    (reading,) = WeightScale(CUFF).records(bytes.fromhex("01 80 3E"), AT)  # 16000 steps of 0.01 lb of 0.45359237 kg
    assert (reading.value, reading.unit) == (72.5747792, "kg")
    with pytest.raises(DecodeError, match="expected a measurement, found 0xFFFF"):
        WeightScale(CUFF).records(bytes.fromhex("00 FF FF"), AT)


@given(st.binary(max_size=30))
def test_no_bytes_break_either(data: bytes):
    with suppress(DecodeError):
        BloodPressure(CUFF).records(data, AT)
    with suppress(DecodeError):
        WeightScale(CUFF).records(data, AT)
