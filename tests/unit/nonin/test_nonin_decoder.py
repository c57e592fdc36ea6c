"""The Nonin decoder against the maker's table of data format 7, and against a simulator that shares nothing with it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_adapters.simulate.nonin import BYTES_PER_FRAME, FRAMES_PER_PACKET, Oximeter, Reading
from protocols.errors import Fault
from protocols.nomenclature import (
    AGENT_RESTART,
    DEVICE_RESTART,
    EVT_BATTERY_LOW,
    EVT_FIRMWARE,
    EVT_OXIMETER_STATUS,
    LINK_LOSS,
    PLETH,
    PULSE_RATE,
    SPO2,
)
from protocols.nonin.decoder import NoninDecoder, ResumePoint
from protocols.record import DeviceEvent, Gap, Observation, Quality, Record, WaveformGroup

NS = 1_000_000_000
FRAME_NS = NS // 75
# The example that the description of the format prints: SYNC, pleth 0x1234, the rate's upper bits 0, sum 0xC7.
PRINTED_FRAME = bytes.fromhex("81 12 34 00 C7")


def oximeter(n: int = 5000, *readings: Reading) -> Oximeter:
    """A ramp that repeats no value."""
    return Oximeter(np.arange(float(n)) * 13 % 65521, readings or (Reading(0, 97, 72),))


def frames(box: Oximeter, n: int) -> list[bytes]:
    return [box.next_packet() for _ in range(n)]


def frame(status: int, pleth: int, number: int) -> bytes:
    body = bytes((status, *divmod(pleth, 256), number))
    return body + bytes((sum(body) % 256,))


def packet(numbers: dict[int, int], status: int = 0x80) -> bytes:
    """A packet with numbers by frame (1 to 25) as the maker's table counts them."""
    return b"".join(frame(status | (i == 1), 4660, numbers.get(i, 0)) for i in range(1, 26))


def play(decoder: NoninDecoder, stream: list[bytes], first_ns: int = NS) -> list[Record | Fault]:
    """Each frame arrives when its sample was measured; an empty one was lost."""
    out: list[Record | Fault] = []
    for i, piece in enumerate(stream):
        if piece:
            out += decoder.feed(piece, first_ns + i * FRAME_NS)
    return out


def samples(records: list[Record | Fault]) -> dict[int, int]:
    """Running number to value; fails when a number comes twice."""
    values: dict[int, int] = {}
    for group in records:
        if isinstance(group, WaveformGroup):
            for i, value in enumerate(group.array()[0].tolist()):
                assert group.first_sample + i not in values
                values[group.first_sample + i] = value
    return values


def readings(records: list[Record | Fault], code: str) -> list[float | str]:
    return [r.value for r in records if isinstance(r, Observation) and r.code == code]


def gaps(records: list[Record | Fault]) -> list[tuple[int | None, int | None, str]]:
    return [(r.from_sample, r.to_sample, r.reason) for r in records if isinstance(r, Gap)]


def faults(records: list[Record | Fault]) -> list[Fault]:
    return [r for r in records if isinstance(r, Fault)]


def test_the_printed_frame_is_read_as_printed() -> None:
    stream = packet({1: 0, 2: 72, 3: 97, 4: 48})
    assert stream.startswith(PRINTED_FRAME)
    out = NoninDecoder("oxi").feed(stream, NS)
    assert samples(out)[0] == 0x1234
    assert readings(out, PULSE_RATE) == [72.0]
    assert readings(out, SPO2) == [97.0]
    assert next(r.text for r in out if isinstance(r, DeviceEvent) and r.code == EVT_FIRMWARE) == "revision 48"
    group = next(r for r in out if isinstance(r, WaveformGroup))
    assert (group.leads, group.fs_hz, group.n, group.source.path) == ((PLETH,), 75.0, 25, ("pleth",))


def test_a_pulse_rate_takes_nine_bits_of_two_frames() -> None:
    # 300 = 2 * 128 + 44; the upper frame's other bits mean nothing
    out = NoninDecoder("oxi").feed(packet({1: 0b0111_1110, 2: 44, 3: 0x80 | 98}), NS)
    assert readings(out, PULSE_RATE) == [300.0]
    assert readings(out, SPO2) == [98.0]


@pytest.mark.parametrize(("numbers", "spo2", "rate"), [
    ({1: 3, 2: 127, 3: 97}, [97.0], []),
    ({1: 0, 2: 72, 3: 127}, [], [72.0]),
    ({1: 3, 2: 127, 3: 127, 9: 97, 21: 72}, [], []),
])  # fmt: skip
def test_a_missing_reading_is_not_made_up(numbers: dict[int, int], spo2: list[float], rate: list[float]) -> None:
    out = NoninDecoder("oxi").feed(packet(numbers), NS)
    assert readings(out, SPO2) == spo2
    assert readings(out, PULSE_RATE) == rate


def test_a_finger_taken_out_ends_the_readings_and_is_said_once() -> None:
    box = oximeter(1500, Reading(0, 97, 72), Reading(10, None, None))
    out = play(NoninDecoder("oxi"), frames(box, 1500))
    assert len(readings(out, SPO2)) == 30  # three a second for ten seconds
    events = [dict(r.params) for r in out if isinstance(r, DeviceEvent) and r.code == EVT_OXIMETER_STATUS]
    assert [e["sensor_alarm"] for e in events] == [False, True]
    marks = [r.quality for r in out if isinstance(r, WaveformGroup)]
    assert marks[:30] == [()] * 30
    assert marks[30:] == [(Quality.LEAD_OFF,)] * 30


@pytest.mark.parametrize(("status", "key", "value", "mark"), [
    (0x40, "sensor_disconnected", True, (Quality.LEAD_OFF,)),
    (0x08, "sensor_alarm", True, (Quality.LEAD_OFF,)),
    (0x10, "out_of_track", True, (Quality.QUESTIONABLE,)),
    (0x20, "out_of_track", False, (Quality.QUESTIONABLE,)),
    (0x02, "perfusion", "high", ()),
    (0x06, "perfusion", "marginal", ()),
    (0x04, "perfusion", "low", ()),
])  # fmt: skip
def test_each_status_bit_is_reported_and_marks_the_signal(
    status: int, key: str, value: object, mark: tuple[Quality, ...]
) -> None:
    out = NoninDecoder("oxi").feed(packet({3: 97}, 0x80 | status), NS)
    event = next(r for r in out if isinstance(r, DeviceEvent) and r.code == EVT_OXIMETER_STATUS)
    assert dict(event.params)[key] == value
    assert next(r for r in out if isinstance(r, WaveformGroup)).quality == mark
    assert [r.quality for r in out if isinstance(r, Observation) and r.code == SPO2] == (
        [] if mark == (Quality.LEAD_OFF,) else [mark[0] if mark else Quality.GOOD]
    )


def test_smartpoint_and_a_low_battery_are_read_from_the_second_status_byte() -> None:
    decoder = NoninDecoder("oxi")
    out = decoder.feed(packet({7: 0, 8: 0x21}) + packet({7: 1}), NS)
    status = [dict(r.params)["smartpoint"] for r in out if isinstance(r, DeviceEvent) and r.code == EVT_OXIMETER_STATUS]
    assert status == [True, False]
    battery = [r.params for r in out if isinstance(r, DeviceEvent) and r.code == EVT_BATTERY_LOW]
    assert battery == [(("present", True),), (("present", False),)]


def test_every_sample_of_the_simulator_comes_out_once_and_in_its_place() -> None:
    box = oximeter(5000)
    out = play(NoninDecoder("oxi"), frames(box, 5000))
    assert samples(out) == dict(enumerate(box.pleth.tolist()))
    assert not [r for r in out if isinstance(r, Gap | Fault)]
    assert readings(out, SPO2) == [97.0] * 200
    assert readings(out, PULSE_RATE) == [72.0] * 200


def test_times_belong_to_the_arrival_of_the_first_sample() -> None:
    out = play(NoninDecoder("oxi"), frames(oximeter(), 50))
    assert [r.times.gateway_ns for r in out if isinstance(r, WaveformGroup)] == [NS, NS + 25 * FRAME_NS]


@given(st.lists(st.integers(1, 300), max_size=60), st.binary(max_size=40), st.binary(max_size=12))
def test_records_are_the_same_for_any_chunking(sizes: list[int], garbage: bytes, noise: bytes) -> None:
    box = oximeter()
    stream = garbage + b"".join(frames(box, 90)) + noise + b"".join(frames(box, 90))
    whole = NoninDecoder("oxi")
    expected = whole.feed(stream, NS) + whole.flush(NS)
    chunked, out, at = NoninDecoder("oxi"), [], 0
    for size in sizes:
        out += chunked.feed(stream[at : at + size], NS)
        at += size
    out += chunked.feed(stream[at:], NS) + chunked.flush(NS)
    assert out == expected


def test_a_split_at_every_byte_changes_nothing() -> None:
    box = oximeter()
    stream = b"".join(frames(box, 60))[7:] + b"\x81\x00" + b"".join(frames(box, 60))
    whole = NoninDecoder("oxi")
    expected = whole.feed(stream, NS) + whole.flush(NS)
    for cut in range(len(stream)):
        halves = NoninDecoder("oxi")
        assert halves.feed(stream[:cut], NS) + halves.feed(stream[cut:], NS) + halves.flush(NS) == expected


@pytest.mark.parametrize("at", [0, 1, 7, 62, 124])
def test_a_link_opened_in_the_middle_of_a_packet_loses_a_frame_at_most(at: int) -> None:
    box = oximeter()
    stream = b"".join(frames(box, 100))[at:]
    out = NoninDecoder("oxi").feed(stream, NS)
    first = -(-at // BYTES_PER_FRAME)
    # the packet's number comes with its timer, so the first packet counts back from the second
    if at == 0:
        assert set(samples(out)) == set(range(100))
    else:
        assert set(samples(out)) == set(range(first, 100))
    assert not faults(out)
    assert not gaps(out)


@pytest.mark.parametrize("place", range(25))
def test_a_damaged_frame_is_reported_and_leaves_a_gap_of_one_sample(place: int) -> None:
    box = oximeter()
    stream = frames(box, 125)
    damaged = bytearray(stream[50 + place])
    damaged[2] ^= 0x55
    stream[50 + place] = bytes(damaged)
    out = play(NoninDecoder("oxi"), stream)
    assert samples(out) == {i: int(v) for i, v in enumerate(box.pleth[:125]) if i != 50 + place}
    assert gaps(out) == [(50 + place, 51 + place, LINK_LOSS)]
    assert [f.raw for f in faults(out)] == [bytes(damaged)]
    assert "SYNC" in str(faults(out)[0])


@pytest.mark.parametrize("cut", [1, 2, 4, 5, 6, 9, 10, 13, 60])
@pytest.mark.parametrize("place", [250, 251, 263, 300, 373])
def test_lost_bytes_put_no_sample_in_a_wrong_place(cut: int, place: int) -> None:
    box = oximeter()
    whole = b"".join(frames(box, 250))
    out = NoninDecoder("oxi").feed(whole[:place] + whole[place + cut :], NS)
    got = samples(out)
    assert all(box.pleth[n] == value for n, value in got.items())
    missing = set(range(250)) - set(got)
    # what is missing lies in the two packets that the cut can touch, and the gaps say exactly what
    assert missing
    assert missing <= set(range(50, 100))
    assert missing == {n for first, last, _ in gaps(out) for n in range(first or 0, last or 0)}
    assert sum(len(f.raw) for f in faults(out)) + BYTES_PER_FRAME * len(got) == len(whole) - cut


@pytest.mark.parametrize("lost", [1, 3, 40, 200])
def test_lost_packets_leave_one_gap_with_their_sample_numbers(lost: int) -> None:
    stream = frames(oximeter(10_000), 10_000)
    stream[1000 : 1000 + lost * FRAMES_PER_PACKET] = [b""] * lost * FRAMES_PER_PACKET
    out = play(NoninDecoder("oxi"), stream)
    assert gaps(out) == [(1000, 1000 + lost * FRAMES_PER_PACKET, LINK_LOSS)]
    assert not faults(out)


def test_frames_lost_without_a_trace_of_where_are_not_guessed_at() -> None:
    box = oximeter()
    stream = frames(box, 200)
    stream[60:63] = [b""] * 3
    out = play(NoninDecoder("oxi"), stream)
    assert set(range(200)) - set(samples(out)) == set(range(50, 75))
    assert gaps(out) == [(50, 75, LINK_LOSS)]
    assert sum(len(f.raw) for f in faults(out)) == 22 * BYTES_PER_FRAME


def test_a_stall_of_the_gateway_that_lost_nothing_is_no_gap() -> None:
    box, decoder = oximeter(), NoninDecoder("oxi")
    out = play(decoder, frames(box, 500))
    for piece in frames(box, 500):
        out += decoder.feed(piece, 60 * NS)
    assert not gaps(out)
    assert len(samples(out)) == 1000


def test_the_timer_wraps_without_a_gap() -> None:
    box = oximeter(20_000)
    box.sample = 16_380 * FRAMES_PER_PACKET
    looped = Oximeter(np.arange(410_000.0) % 60_000, (Reading(0, 97, 72),))
    looped.sample = 16_380 * FRAMES_PER_PACKET
    out = play(NoninDecoder("oxi"), frames(looped, 200))
    assert not gaps(out)
    assert sorted(samples(out)) == list(range(16_380 * 25, 16_388 * 25))


def test_an_oximeter_that_was_switched_off_and_on_leaves_a_gap_and_goes_on() -> None:
    decoder = NoninDecoder("oxi")
    out = play(decoder, frames(oximeter(), 500))
    out += decoder.flush(NS + 600 * FRAME_NS)
    out += play(decoder, frames(oximeter(), 100), NS + 1000 * FRAME_NS)
    assert gaps(out) == [(500, 1000, DEVICE_RESTART)]
    assert set(samples(out)) == {*range(500), *range(1000, 1100)}


def test_an_agent_that_was_restarted_goes_on_behind_the_stored_samples() -> None:
    box = oximeter()
    frames(box, 1250)  # nobody listened to the last 700 of them
    decoder = NoninDecoder("oxi", resume=ResumePoint(550, NS + 550 * FRAME_NS))
    out = play(decoder, frames(box, 100), NS + 1250 * FRAME_NS)
    assert gaps(out) == [(550, 1250, AGENT_RESTART)]
    assert min(samples(out)) == 1250


def test_a_flush_gives_out_the_frames_of_a_started_packet() -> None:
    decoder = NoninDecoder("oxi")
    out = play(decoder, frames(oximeter(), 60))
    assert len(samples(out)) == 50
    out += decoder.flush(9 * NS)
    assert len(samples(out)) == 60
    assert not faults(out)


def test_endless_garbage_is_reported_in_bounded_pieces() -> None:
    out = NoninDecoder("oxi").feed(bytes(20_000), NS)
    assert len(faults(out)) >= 4
    assert all(len(f.raw) <= 4096 for f in faults(out))


def mended(stream: bytes) -> bytes:
    """Sums put right over whatever the frames now hold."""
    return b"".join(
        bytes((*piece[:4], sum(piece[:4]) % 256))
        for piece in (stream[i : i + BYTES_PER_FRAME] for i in range(0, len(stream), BYTES_PER_FRAME))
    )


def mutations(data: st.DataObject, stream: bytearray) -> Iterator[int]:
    for _ in range(data.draw(st.integers(0, 12))):
        place = data.draw(st.integers(0, len(stream) - 1))
        stream[place] = data.draw(st.integers(0, 255))
        yield place


@given(st.data(), st.booleans())
def test_no_bytes_raise_and_each_is_delivered_or_reported(data: st.DataObject, mend: bool) -> None:
    stream = bytearray(b"".join(frames(oximeter(), 100)))
    list(mutations(data, stream))
    given_bytes = mended(bytes(stream)) if mend else bytes(stream)
    decoder = NoninDecoder("oxi")
    out = decoder.feed(b"\x00" * 5 + given_bytes, NS) + decoder.flush(NS)
    delivered = samples(out)
    reported = sum(len(f.raw) for f in faults(out))
    assert reported + BYTES_PER_FRAME * len(delivered) == len(given_bytes) + 5
    holes = {n for first, last, _ in gaps(out) for n in range(first or 0, last or 0)}
    assert not holes & set(delivered)
    if delivered:
        assert holes | set(delivered) == set(range(min(delivered), max(delivered) + 1))


@given(
    st.lists(st.integers(0, 65535), min_size=25, max_size=200),
    st.one_of(st.none(), st.integers(0, 126)),
    st.one_of(st.none(), st.integers(0, 510)),
)
def test_what_the_independent_encoder_wrote_is_read_back(pleth: list[int], spo2: int | None, pulse: int | None) -> None:
    box = Oximeter(np.array(pleth, np.float64), (Reading(0, spo2, pulse),))
    decoder = NoninDecoder("oxi")
    out = decoder.feed(b"".join(frames(box, len(pleth))), NS) + decoder.flush(NS)
    assert samples(out) == dict(enumerate(pleth))
    assert set(readings(out, SPO2)) == (set() if spo2 is None else {float(spo2)})
    assert set(readings(out, PULSE_RATE)) == (set() if pulse is None else {float(pulse)})


def test_the_simulator_refuses_readings_the_format_cannot_hold() -> None:
    with pytest.raises(ValueError, match="SpO2 up to 126"):
        oximeter(10, replace(Reading(0, 97, 72), spo2=127))
