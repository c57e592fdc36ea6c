"""The bytes of the released version: what was written then is read now, and written the same.

The captures are never rewritten. A field that is added in a later version gets captures of its own beside these.
"""

from pathlib import Path

import numpy as np
import pytest

from protocols import codec
from protocols.link import Connection, Lane, LinkReceiver, LinkSender, Position, SendLost
from protocols.uplink_pb2 import (
    AlarmsAcknowledged,
    GatewayMessage,
    HubHello,
    HubMessage,
    Limit,
    Origin,
    PlacedBed,
    Placement,
    PlacementApplied,
    Rejected,
    Setting,
    Settings,
)
from protocols.wire import (
    Received,
    decode_batch,
    decode_package,
    encode_batch,
    encode_package,
    encode_record,
    parse_record,
    records_of,
)
from tests.unit.wire.examples import EXAMPLES, EXPLAINED, TIMES

CAPTURES = Path(__file__).parents[2] / "captures" / "wire" / "v1"
EPOCH = bytes(range(16))


def capture(name: str) -> bytes:
    return (CAPTURES / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_record_of_version_1_is_read_and_written_as_it_was(name: str):
    assert parse_record(capture(name)) == EXAMPLES[name]
    assert encode_record(EXAMPLES[name]).SerializeToString(deterministic=True) == capture(name)


def test_evidence_that_explains_itself_is_read_and_written_as_it_was():
    assert parse_record(capture("alarm-explained")) == EXPLAINED
    assert encode_record(EXPLAINED).SerializeToString(deterministic=True) == capture("alarm-explained")


def test_a_batch_of_version_1_is_read_and_written_as_it_was():
    batch = decode_batch(capture("batch"))
    assert records_of(batch) == [Received(EXAMPLES["gap"]), Received(EXAMPLES["event"])]
    assert encode_batch(Lane.EVENT, 42, TIMES.gateway_ns, [EXAMPLES["gap"], EXAMPLES["event"]]) == capture("batch")


def test_a_package_of_version_1_is_read_and_written_as_it_was():
    assert decode_package(capture("package")).records == tuple(EXAMPLES.values())
    assert encode_package("cyton-01", 7, EXAMPLES.values()) == capture("package")


def test_samples_compressed_by_version_1_are_read():
    """Read only: another deflate library may write other bytes for the same samples."""
    samples = codec.decode(codec.DELTA_DEFLATE, capture("samples-codec-1"), leads=2, n=125, dtype="<i4")
    ramp = np.arange(125) * 16
    assert np.array_equal(samples, [ramp - 1000, 5_000_000 - ramp])


def downlink() -> dict[str, HubMessage]:
    """What the hub says in one conversation."""
    receiver = LinkReceiver("ward", "g-1", EPOCH, {Lane.EVENT: Position([(1, 41), (50, 60)])})
    hello = LinkSender("ward", "g-1", EPOCH, agent_version="0.1.0").connected(Connection.DATA, 0).hello
    answer = receiver.hello(hello, TIMES.gateway_ns, ["lost"])
    assert isinstance(answer, HubHello)
    ack = receiver.committed(Lane.EVENT, 42, rejected=[(3, "gap.reason")])
    bed = PlacedBed(
        point_of_care="icu-3",
        devices=["cyton-01"],
        subject="p-7",
        age_group="adult",
        paced=True,
        limits=[Limit(code="MDC_ECG_HEART_RATE", unit="/min", low=40, high=150)],
    )
    return {
        "hub-hello": HubMessage(hello=answer),
        "ack": HubMessage(ack=ack),
        "placement": HubMessage(placement=Placement(version=9, beds=[bed])),
        "settings": HubMessage(settings=Settings(version=4, settings=[Setting(key="strip.seconds", value="10")])),
        "alarms-acknowledged": HubMessage(alarms_acknowledged=AlarmsAcknowledged(ids=[EPOCH, EPOCH[::-1]])),
    }


def uplink() -> dict[str, GatewayMessage]:
    sender = LinkSender("ward", "g-1", EPOCH, agent_version="0.1.0", features=["lost"])
    wrapped = decode_batch(encode_batch(Lane.EVENT, 42, TIMES.gateway_ns, [EXAMPLES["event"]]))
    wrapped.records[0].origin.CopyFrom(Origin(gateway="g-2", epoch=EPOCH[::-1]))
    wrapped.arrivals.add(device="cyton-01", identity=EPOCH)
    return {
        "hello": sender.connected(Connection.DATA, 0),
        "lost": SendLost(Lane.WAVEFORM, 5, 900).message,
        "placement-applied": GatewayMessage(placement_applied=PlacementApplied(version=9)),
        "batch-wrapped": GatewayMessage(batch=wrapped),
    }


@pytest.mark.parametrize("name", ["hub-hello", "ack", "placement", "settings", "alarms-acknowledged"])
def test_the_hub_says_what_it_said_in_version_1(name: str):
    assert HubMessage.FromString(capture(name)) == downlink()[name]
    assert downlink()[name].SerializeToString(deterministic=True) == capture(name)


@pytest.mark.parametrize("name", ["hello", "lost", "placement-applied", "batch-wrapped"])
def test_the_gateway_says_what_it_said_in_version_1(name: str):
    assert GatewayMessage.FromString(capture(name)) == uplink()[name]
    assert uplink()[name].SerializeToString(deterministic=True) == capture(name)


def test_positions_of_version_1_mean_what_they_meant():
    (event, *_) = HubMessage.FromString(capture("hub-hello")).hello.positions
    position = Position.from_proto(event)
    assert (position.cumulative, position.above) == (41, [(50, 60)])
    ack = HubMessage.FromString(capture("ack")).ack
    assert Position.from_proto(ack.position).cumulative == 42
    assert list(ack.rejected) == [Rejected(lane=Lane.EVENT.wire, n=42, index=3, reason="gap.reason")]
