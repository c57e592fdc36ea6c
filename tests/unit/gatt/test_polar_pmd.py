"""The formats of Polar's measurement service: the examples its maker prints, and what was written is read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError, Fault
from protocols.gatt import polar, polar_pmd
from protocols.gatt.polar import PolarDecoder, StrapOptions
from protocols.gatt.polar_pmd import Answer, Measurement, Stopped, parse_control, parse_frame, unpack_deltas
from protocols.nomenclature import EVT_STREAM_STOPPED, lead
from protocols.record import DeviceEvent, WaveformGroup

AT = 1_800_000_000_000_000_000
ECG = bytes.fromhex("00 DA EB C3 9E 98 43 52 08 00 F4 FF FF FA 00 00 FF 03 00")
ACCELERATION = bytes.fromhex("02 00 94 35 77 00 00 00 00 81 0A 00 EC FF E8 03 04 02 F1 D2 70")
# 2019-01-01T00:00:23.171427 UTC, as `date -u -d 2019-01-01T00:00:23 +%s` gives the seconds
ECG_TIME_US = 1_546_300_823_171_427


def written(samples: list[int], device_ns: int = 599_616_000_000_000_000) -> bytes:
    body = b"".join(s.to_bytes(3, "little", signed=True) for s in samples)
    return b"\0" + device_ns.to_bytes(8, "little") + b"\0" + body


def packed(rows: list[tuple[int, ...]], bits: int, block: int) -> bytes:
    """A delta frame, written as the maker describes it."""
    out = b"".join(v.to_bytes(-(-bits // 8), "little", signed=True) for v in rows[0])
    for at in range(1, len(rows), block):
        part = rows[at : at + block]
        deltas = [
            b - a for before, row in zip(rows[at - 1 :], part, strict=False) for a, b in zip(before, row, strict=True)
        ]
        width = max(d.bit_length() + 1 for d in deltas)
        number = sum((d % (1 << width)) << (width * i) for i, d in enumerate(deltas))
        out += bytes([width, len(part)]) + number.to_bytes(-(-width * len(deltas) // 8), "little")
    return out


def test_the_printed_ecg_is_read_as_printed():
    frame = parse_frame(ECG)
    assert frame.measurement == Measurement.ECG
    assert frame.samples.tolist() == [[-12], [250], [1023]]
    assert frame.last_ns // 1000 == ECG_TIME_US


def test_the_printed_differences_are_read_as_printed():
    frame = parse_frame(ACCELERATION)
    assert frame.samples.tolist() == [[10, -20, 1000], [11, -21, 1002], [8, -21, 1009]]


def test_the_commands_are_the_printed_ones():
    assert polar_pmd.start(Measurement.ECG, sample_rate=130, resolution=14) == polar.START_ECG
    assert polar.START_ECG.hex(" ").upper() == "02 00 00 01 82 00 01 01 0E 00"
    assert polar_pmd.stop(Measurement.ECG) == bytes.fromhex("03 00")


@given(st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=80))
def test_every_ecg_sample_is_read_back(samples: list[int]):
    assert parse_frame(written(samples)).samples[:, 0].tolist() == samples


@given(
    st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=40),
    st.integers(1, 40),
)
def test_every_delta_frame_is_read_back(rows: list[tuple[int, ...]], block: int):
    assert unpack_deltas(packed(rows, 16, block), channels=3, bits=16).tolist() == [list(r) for r in rows]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_plain_acceleration_of_every_width(width: int):
    values = [1, -1, 2 ** (8 * width - 1) - 1, -(2 ** (8 * width - 1)), 0, 7]
    body = b"".join(v.to_bytes(width, "little", signed=True) for v in values)
    frame = parse_frame(bytes([2]) + bytes(8) + bytes([width - 1]) + body)
    assert frame.samples.tolist() == [values[:3], values[3:]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "measurement type at byte 0"),
        (ECG[:7], "time at byte 1"),
        (ECG[:9], "frame type at byte 9"),
        (ECG[:10], "at least one sample"),
        (ECG[:-1], "a multiple of 3 bytes"),
        (b"\x01" + ECG[1:], "found measurement 1, type 0"),
        (ECG[:9] + b"\x03" + ECG[10:], "found measurement 0, type 3"),
        (b"\0" + b"\xff" * 8 + ECG[9:], "time at byte 1"),
        (ACCELERATION[:-1], "2 differences of 4 bits"),
        (ACCELERATION[:14], "first sample"),
    ],
)
def test_what_cannot_be_read_says_where_and_what(data: bytes, said: str):
    with pytest.raises(DecodeError, match=said):
        parse_frame(data)


@given(st.binary(max_size=64), st.sampled_from([polar_pmd.DATA, polar_pmd.CONTROL_POINT, "", "x"]))
def test_no_bytes_break_the_decoder(data: bytes, channel: str):
    out = PolarDecoder("strap", StrapOptions(lead("I"), 50)).feed(data, AT, channel)
    assert all(f.raw == data and f.expected for f in out if isinstance(f, Fault))


@given(st.sampled_from([ECG, ACCELERATION]), st.data())
def test_a_frame_with_a_changed_bit_is_read_or_refused(frame: bytes, data: st.DataObject):
    value = bytearray(frame)
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    decoder = PolarDecoder("strap", StrapOptions(lead("I"), 50))
    out = decoder.feed(bytes(value), AT, polar_pmd.DATA)
    assert len(out) == 1
    assert isinstance(out[0], Fault | WaveformGroup)


def test_answers_of_the_control_point():
    assert parse_control(bytes.fromhex("F0 02 00 00 00")) == Answer(2, 0, 0)
    offered = parse_control(bytes.fromhex("F0 01 00 00 00 00 01 82 00 01 01 0E 00"))
    assert isinstance(offered, Answer)
    assert offered.settings == ((0, (b"\x82\0",)), (1, (b"\x0e\0",)))
    assert parse_control(bytes.fromhex("01 00 02")) == Stopped((0, 2))


def test_a_refused_start_is_told_in_words():
    decoder = PolarDecoder("strap", StrapOptions(lead("I")))
    (fault,) = decoder.feed(bytes.fromhex("F0 02 00 0D 00"), AT, polar_pmd.CONTROL_POINT)
    assert str(fault) == "strap: PMD control point, answer to start ecg: expected success, found device in charger"
    assert decoder.feed(bytes.fromhex("F0 02 00 06 00"), AT, polar_pmd.CONTROL_POINT) == []


def test_a_measurement_that_the_device_stops_is_an_event():
    decoder = PolarDecoder("strap", StrapOptions(lead("I")))
    (event,) = decoder.feed(bytes.fromhex("01 00"), AT, polar_pmd.CONTROL_POINT)
    assert isinstance(event, DeviceEvent)
    assert (event.code, event.text) == (EVT_STREAM_STOPPED, "ecg")


def test_the_factor_of_the_start_answer_scales_compressed_samples():
    decoder = PolarDecoder("strap", StrapOptions(lead("I"), 50))
    answer = bytes.fromhex("F0 02 02 00 00 05 01") + np.float32(0.5).tobytes()
    assert decoder.feed(answer, AT, polar_pmd.CONTROL_POINT) == []
    (group,) = decoder.feed(ACCELERATION, AT, polar_pmd.DATA)
    assert isinstance(group, WaveformGroup)
    assert group.physical()[:, 0].tolist() == pytest.approx([0.005, -0.01, 0.5])  # mG to g, halved


def test_an_impossible_factor_is_refused():
    decoder = PolarDecoder("strap", StrapOptions(lead("I"), 50))
    answer = bytes.fromhex("F0 02 02 00 00 05 01") + np.float32("nan").tobytes()
    assert isinstance(decoder.feed(answer, AT, polar_pmd.CONTROL_POINT)[0], Fault)
