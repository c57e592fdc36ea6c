"""Messages of an MQTT broker byte by byte, written by hand from OASIS MQTT 5.0: what is read here, and what goes on to paho as it came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_adapters.transport.mqtt_packets import Arrived, Packets

TOPIC = b"\x00\x03a/b"
PLAIN = b"\x32\x0a" + TOPIC + b"\x00\x07" + b"\x00" + b"{}"  # PUBLISH, QoS 1, packet identifier 7, no properties
QOS_0 = b"\x30\x08" + TOPIC + b"\x00" + b"{}"
AGAIN = b"\x3b\x0a" + TOPIC + b"\x00\x07" + b"\x00" + b"{}"  # DUP and RETAIN
SAID = b"\x01\x01\x02\x00\x00\x00\x09\x03\x00\x02tx\x08\x00\x01r\x09\x00\x02\x00\xff\x0b\x81\x01\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w"
WITH_PROPERTIES = b"\x32" + bytes([8 + len(SAID)]) + TOPIC + b"\xff\xfe" + bytes([len(SAID)]) + SAID
PINGRESP, SUBACK = b"\xd0\x00", b"\x90\x04\x00\x01\x00\x01"

MESSAGE = Arrived("a/b", b"{}", "", "", b"", 7)


def fed(data: bytes) -> list[Arrived | bytes]:
    return list(Packets().feed(data))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (PLAIN, MESSAGE),
        (AGAIN, MESSAGE),
        (QOS_0, Arrived("a/b", b"{}", "", "", b"", 0)),
        (WITH_PROPERTIES, Arrived("a/b", b"", "tx", "r", b"\x00\xff", 0xFFFE)),
        (
            b"\x32\x88\x80\x04" + TOPIC + b"\x00\x07" + b"\x00" + bytes(65536),
            Arrived("a/b", bytes(65536), "", "", b"", 7),
        ),
    ],
    ids=["plain", "again", "qos 0", "properties", "large"],
)
def test_a_message_is_read_with_what_the_door_needs_of_it(packet: bytes, message: Arrived):
    assert fed(packet) == [message]


@pytest.mark.parametrize(
    "packet",
    [
        PINGRESP,
        SUBACK,
        b"\x34" + PLAIN[1:],  # QoS 2
        b"\x36" + PLAIN[1:],  # QoS 3, which there is not
        b"\x32\x07" + b"\x00\x00" + b"\x00\x07" + b"\x00" + b"{}",  # no topic
        b"\x32\x0a" + b"\x00\x03\xff/b" + b"\x00\x07" + b"\x00" + b"{}",  # no UTF-8
        b"\x32\x0a" + b"\x00\x30a/b" + b"\x00\x07" + b"\x00" + b"{}",  # a topic longer than the packet
        b"\x32\x0a" + TOPIC + b"\x00\x00" + b"\x00" + b"{}",  # packet identifier 0
        b"\x32\x0a" + TOPIC + b"\x00\x07" + b"\x05" + b"{}",  # properties longer than the packet
        b"\x32\x0b" + TOPIC + b"\x00\x07" + b"\x03" + b"\x23\x00\x01",  # a topic alias, which we allow none of
        b"\x32\x0c" + TOPIC + b"\x00\x07" + b"\x04" + b"\x01\x01\x01\x01",  # a property twice
        b"\x32\x0b" + TOPIC + b"\x00\x07" + b"\x03" + b"\x03\x00\x09",  # a text longer than the properties
        b"\x32\x05" + TOPIC,  # ends behind the topic
    ],
    ids=lambda packet: packet.hex(),
)
def test_what_is_no_plain_message_goes_on_as_it_came(packet: bytes):
    assert fed(packet + PLAIN) == [packet, MESSAGE]


def test_a_length_that_no_packet_may_have_goes_on_with_all_behind_it():
    assert fed(PLAIN + b"\x32\xff\xff\xff\xff\x01" + PLAIN) == [MESSAGE, b"\x32\xff\xff\xff\xff\x01" + PLAIN]


@given(st.lists(st.sampled_from([PLAIN, QOS_0, WITH_PROPERTIES, PINGRESP, SUBACK]), max_size=6), st.data())
def test_the_pieces_in_which_bytes_come_make_no_difference(packets: list[bytes], data: st.DataObject):
    whole = b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    reader = Packets()
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [packet for piece in pieces for packet in reader.feed(piece)] == fed(whole)


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_go_on(noise: bytes):
    for packet in fed(noise):
        assert isinstance(packet, bytes) or packet.topic
