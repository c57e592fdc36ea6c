"""Batches of the uplink and packages of devices: a poison record is judged alone, the rest goes on."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError, Fault
from protocols.link import Lane
from protocols.record import Document, Record
from protocols.uplink_pb2 import Batch, Envelope, Origin
from protocols.wire import (
    MAX_MESSAGE_BYTES,
    MAX_RECORDS,
    Received,
    decode_batch,
    decode_package,
    encode_batch,
    encode_package,
    encode_record,
    lane_of,
    records_of,
)
from tests.unit.wire.examples import EXAMPLES, SOURCE, TIMES, records

LANES = {
    "observation": Lane.NUMERIC,
    "waveform": Lane.WAVEFORM,
    "event": Lane.EVENT,
    "alarm": Lane.ALARM,
    "gap": Lane.EVENT,
    "subject": Lane.EVENT,
    "document": Lane.EVENT,
}


@pytest.mark.parametrize("name", LANES)
def test_each_kind_of_record_has_its_lane(name: str):
    assert lane_of(EXAMPLES[name]) is LANES[name]


@given(st.lists(records(), max_size=6), st.integers(1, 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_batch_comes_back_with_its_records_in_order(many: list[Record], n: int, closed_ns: int):
    for lane in Lane:
        mine = [record for record in many if lane_of(record) is lane]
        data = encode_batch(lane, n, closed_ns, mine)
        batch = decode_batch(data)
        assert (Lane(batch.lane), batch.n, batch.closed_ns) == (lane, n, closed_ns)
        assert records_of(batch) == [Received(record) for record in mine]
        assert encode_batch(lane, n, closed_ns, mine) == data


def test_a_poison_record_is_an_error_with_its_place_among_good_records():
    batch = Batch(lane=Lane.EVENT.wire, n=1)
    for name in ("gap", "event", "document"):
        batch.records.add(record=encode_record(EXAMPLES[name]))
    batch.records[1].record.source = "no good"
    first, second, third = records_of(batch)
    assert first == Received(EXAMPLES["gap"])
    assert isinstance(second, DecodeError)
    assert second.where == "record 1, source"
    assert second.raw
    assert third == Received(EXAMPLES["document"])


def test_a_record_on_the_wrong_lane_is_an_error():
    (item,) = records_of(
        Batch(lane=Lane.WAVEFORM.wire, n=1, records=[Envelope(record=encode_record(EXAMPLES["alarm"]))])
    )
    assert isinstance(item, DecodeError)
    assert str(item) == "record 0: expected lane alarm, found AlarmCondition on lane waveform"


def test_a_gap_may_travel_among_the_samples_it_interrupts():
    batch = decode_batch(encode_batch(Lane.WAVEFORM, 1, 0, [EXAMPLES["gap"], EXAMPLES["waveform"]]))
    assert records_of(batch) == [Received(EXAMPLES["gap"]), Received(EXAMPLES["waveform"])]


def test_the_origin_of_a_forwarded_record_is_kept():
    gap = encode_record(EXAMPLES["gap"])
    batch = Batch(
        lane=Lane.EVENT.wire, n=1, records=[Envelope(record=gap, origin=Origin(gateway="g-2", epoch=bytes(16)))]
    )
    assert records_of(batch) == [Received(EXAMPLES["gap"], ("g-2", bytes(16)))]
    batch.records[0].origin.epoch = b"short"
    (item,) = records_of(batch)
    assert isinstance(item, DecodeError)
    assert item.where == "record 0, origin.epoch"


@pytest.mark.parametrize(
    ("batch", "where"),
    [
        (Batch(n=1), "batch.lane"),
        (Batch.FromString(b"\x08\x09\x10\x01"), "batch.lane"),
        (Batch(lane=Lane.ALARM.wire, n=0), "batch.n"),
        (Batch(lane=Lane.ALARM.wire, n=2**63), "batch.n"),
        (Batch(lane=Lane.ALARM.wire, n=1, records=[Envelope()] * (MAX_RECORDS + 1)), "batch.records, how many"),
    ],
)
def test_a_batch_without_its_place_is_refused_whole(batch: Batch, where: str):
    with pytest.raises(DecodeError) as caught:
        decode_batch(batch.SerializeToString())
    assert caught.value.where == where


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(list(LANES)))
def test_changed_bytes_of_a_batch_raise_a_decode_error_at_most(at: int, value: int, name: str):
    data = bytearray(encode_batch(LANES[name], 7, 1, [EXAMPLES[name]] * 2))
    data[at % len(data)] = value
    try:
        items = records_of(decode_batch(bytes(data)))
    except DecodeError:
        return
    assert all(isinstance(item, Received | DecodeError) for item in items)


def test_a_batch_too_large_for_a_message_is_refused_where_it_is_made():
    content = bytes(MAX_MESSAGE_BYTES)
    large = Document(SOURCE, hashlib.sha256(content).hexdigest(), "application/dicom", content, TIMES)
    with pytest.raises(ValueError, match="expected at most 1048576; send it in several"):
        encode_batch(Lane.EVENT, 1, 0, [large])


@given(st.integers(0, 2**63 - 1))
def test_a_package_comes_back_with_its_number_and_records(number: int):
    data = encode_package("cyton-01", number, EXAMPLES.values())
    package = decode_package(data)
    assert (package.device, package.number) == ("cyton-01", number)
    assert package.records == tuple(EXAMPLES.values())


def test_a_device_speaks_for_its_own_sources_only():
    package = decode_package(encode_package("other", 1, [EXAMPLES["gap"]]), gateway_ns=5)
    (fault,) = package.records
    assert isinstance(fault, Fault)
    assert str(fault) == "other: record 0, source: expected a source of device 'other', found 'cyton-01'"
    assert fault.gateway_ns == 5
    assert pb.Record.FromString(fault.raw) == encode_record(EXAMPLES["gap"])


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (pb.DevicePackage(version=2, device="d").SerializeToString(), "version"),
        (pb.DevicePackage(device="d").SerializeToString(), "version"),
        (pb.DevicePackage(version=1).SerializeToString(), "device"),
        (pb.DevicePackage(version=1, device="d", number=2**64 - 1).SerializeToString(), "number"),
        (
            pb.DevicePackage(version=1, device="d", records=[pb.Record()] * 5000).SerializeToString(),
            "records, how many",
        ),
        (b"\xff\xff\xff", "message"),
        (bytes(MAX_MESSAGE_BYTES + 1), "message"),
    ],
)
def test_what_is_no_package_is_refused_whole(data: bytes, where: str):
    with pytest.raises(DecodeError) as caught:
        decode_package(data)
    assert caught.value.where == where
