"""Device packages as protobuf and JSON: what the door does not take from a sender, the bounds, and bytes that are none."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import codec
from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_DEVICE_SEEN
from protocols.package import (
    MAX_BYTES,
    MAX_RECORDS,
    MAX_SAMPLE_BYTES,
    JsonObject,
    Package,
    read_json,
    read_protobuf,
    write_json,
)
from protocols.record import Observation, Times, WaveformGroup
from protocols.wire import encode_package
from tests.unit.wire.examples import EXAMPLES

AT_NS = 1_790_000_000 * 10**9
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "device-package.md"
READING: JsonObject = {
    "source": "monitor-5/temp",
    "observation": {"code": "MDC_TEMP_BODY", "number": 37.0, "unit": "Cel", "quality": "QUALITY_GOOD"},
}


def as_json(*records: object, **fields: object) -> bytes:
    return json.dumps({"version": 1, "device": "monitor-5", "number": 1, "records": records, **fields}).encode()


def with_observation(**fields: object) -> JsonObject:
    return {**READING, "observation": {**READING["observation"], **fields}}


def only_fault(package: Package) -> Fault:
    (fault,) = package.records
    assert isinstance(fault, Fault)
    return fault


def test_the_gateways_clock_is_never_taken_from_the_sender():
    times = {"gateway_ns": "5", "device_ns": "7", "corrected_ns": "9", "uncertainty_ns": "1", "clock_segment": 3}
    (record,) = read_json(as_json({**READING, "times": times}), AT_NS).records
    assert isinstance(record, Observation)
    assert record.times == Times(AT_NS, device_ns=7)


def test_a_package_says_within_how_long_the_next_one_comes_and_promises_nothing_when_it_says_nothing():
    promise = pb.DevicePackage.FromString(encode_package("monitor-5", 1, [EXAMPLES["observation"]]))
    promise.device, promise.next_within_ms = "monitor-5", 90_500
    assert read_protobuf(promise.SerializeToString(), AT_NS).next_within_s == 90.5
    assert read_json(as_json(READING, next_within_ms=90_500), AT_NS).next_within_s == 90.5
    assert read_json(as_json(READING), AT_NS).next_within_s == 0


def test_protobuf_and_json_of_a_package_are_the_same_records_and_the_same_package():
    data = encode_package("cyton-01", 7, EXAMPLES.values())
    first, second = read_protobuf(data, AT_NS), read_json(write_json(data).encode(), AT_NS)
    assert not [r for r in first.records if isinstance(r, Fault)]
    assert first == second


@pytest.mark.parametrize("change", ["number", "content", "device"])
def test_another_number_content_or_device_is_another_package(change: str):
    known = read_json(as_json(READING), AT_NS).identity
    other = {
        "number": as_json(READING, number=2),
        "content": as_json(with_observation(number=37.1)),
        "device": as_json({**READING, "source": "monitor-6/temp"}, device="monitor-6"),
    }[change]
    assert read_json(other, AT_NS).identity != known
    assert read_json(as_json(READING), AT_NS + 1).identity == known


@pytest.mark.parametrize(
    ("record", "where", "found"),
    [
        ({**READING, "source": "monitor-6/temp"}, "source", "monitor-6"),
        ({**READING, "source": "monitor-5/a b"}, "source", "a b"),
        ({"source": "monitor-5"}, "kind", "none"),
        (with_observation(number="NaN"), "observation.number", "nan"),
        (with_observation(number=10**400), "message", "too large"),
        (with_observation(quality="QUALITY_FINE"), "message", "quality"),
        (with_observation(colour="red"), "message", "colour"),
        (with_observation(unit="kg"), "observation, unit", "kg"),
        ({"source": "monitor-5", "event": {"code": EVT_DEVICE_SEEN}}, "event.code", "DEVICE_SEEN"),
        ("text", "record", "str"),
    ],
)
def test_a_record_that_cannot_be_is_a_fault_that_says_where_and_what(record: object, where: str, found: str):
    package = read_json(as_json(READING, record), AT_NS)
    assert isinstance(package.records[0], Observation)
    fault = package.records[1]
    assert isinstance(fault, Fault)
    assert fault.where == f"record 1, {where}"
    assert found in fault.found
    assert fault.gateway_ns == AT_NS
    assert fault.raw


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "character 0"),
        (b"\xff{}", "byte 0"),
        (b"[]", "message"),
        (b'{"version": 1, "version": 1}', "message"),
        (b"[" * 100_000, "message"),
        (as_json(READING, version=2), "version"),
        (as_json(READING, device="a b"), "device"),
        (as_json(READING, device=""), "device"),
        (as_json(READING, colour="red"), "message"),
        (as_json(records={}), "records"),
        (as_json(), "records"),
        (as_json(*[READING] * (MAX_RECORDS + 1)), "records, how many"),
        (as_json(READING, identity={"make": "x" * 129}), "identity.make"),
        (b" " * (MAX_BYTES + 1), "message"),
    ],
    ids=str,
)
def test_a_message_that_is_no_package_says_where_and_what_was_expected(body: bytes, where: str):
    with pytest.raises(DecodeError) as caught:
        read_json(body, AT_NS)
    assert caught.value.where == where
    assert caught.value.expected


def test_samples_that_would_unfold_without_end_are_refused_before_they_are_unfolded():
    zeros = np.zeros((1, MAX_SAMPLE_BYTES // 2 + 1), "<i2")
    _, packed = codec.encode(zeros)
    assert len(packed) < MAX_SAMPLE_BYTES / 100
    package = pb.DevicePackage(version=1, device="d", number=1)
    wave = package.records.add(source="d").waveform
    wave.codec, wave.samples, wave.n = pb.CODEC_DELTA_DEFLATE, packed, zeros.shape[1]
    wave.leads.append("MDC_ECG_ELEC_POTL_II")
    wave.dtype, wave.fs_hz = pb.DTYPE_INT16, 250
    with pytest.raises(DecodeError, match="samples of all waveforms"):
        read_protobuf(package.SerializeToString(), AT_NS)


def test_the_json_of_the_reference_page_is_read_as_it_says():
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    temperature, wave = read_json(example.encode(), AT_NS).records
    assert isinstance(temperature, Observation)
    assert (temperature.value, temperature.unit, temperature.site) == (37.0, "Cel", "axilla")
    assert isinstance(wave, WaveformGroup)
    assert base64.b64decode("AAABAAIA") == wave.samples


@given(st.data())
def test_bytes_that_were_damaged_make_a_package_or_a_clear_error(data: st.DataObject):
    whole = encode_package("cyton-01", 7, EXAMPLES.values())
    text = write_json(whole).encode()
    reader, good = data.draw(st.sampled_from([(read_protobuf, whole), (read_json, text)]))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    try:
        package = reader(bad, AT_NS)
    except DecodeError:
        return
    assert package.device
    assert all(r.gateway_ns == AT_NS if isinstance(r, Fault) else r.times.gateway_ns == AT_NS for r in package.records)
