"""The Cyton decoder against the packet format as OpenBCI prints it, and against a simulator that shares nothing with it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_adapters.simulate.cyton import BANNER, BYTES_PER_PACKET, Board
from protocols.cyton import FS_HZ, CytonDecoder, ResumePoint, uv_per_count
from protocols.errors import Fault
from protocols.nomenclature import AGENT_RESTART, DEVICE_RESTART, EVT_FIRMWARE, LINK_LOSS, lead
from protocols.record import DeviceEvent, Gap, Quality, Record, WaveformGroup

NS = 1_000_000_000
SAMPLE_NS = round(NS / FS_HZ)
# The example of the format's description: n 42, ch1 +1000, ch2 -1000, ch3 and ch4 railed, ch5-8 0, accelerometer Z 1.000 g.
PRINTED_PACKET = bytes.fromhex("A0 2A 00 03 E8 FF FC 18 7F FF FF 80 00 00" + " 00" * 12 + " 00 00 00 00 1F 40 C0")
ALL = {c: lead(name) for c, name in enumerate(("I", "II", "III", "V1", "V2", "V3", "V4", "V5"), start=1)}


def ramp_board(n: int = 2000) -> Board:
    """Two channels that never repeat a value within the recording."""
    board = Board(np.outer([0.5, -1.0], np.arange(float(n))))
    board.command(b"b")
    return board


def packets(board: Board, n: int) -> list[bytes]:
    return [board.next_packet() for _ in range(n)]


def play(decoder: CytonDecoder, stream: list[bytes], first_ns: int = NS) -> list[Record | Fault]:
    """Each packet arrives when its sample was measured; an empty one is a packet that was lost."""
    out: list[Record | Fault] = []
    for i, packet in enumerate(stream):
        if packet:
            out += decoder.feed(packet, first_ns + i * SAMPLE_NS)
    return out


def ecg(records: list[Record | Fault]) -> list[WaveformGroup]:
    return beside(records, "ecg")


def beside(records: list[Record | Fault], source: str) -> list[WaveformGroup]:
    return [r for r in records if isinstance(r, WaveformGroup) and r.source.path == (source,)]


def gaps(records: list[Record | Fault], source: str) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for gap in records:
        if isinstance(gap, Gap) and gap.source.path == (source,):
            assert gap.from_sample is not None
            assert gap.to_sample is not None
            found.append((gap.from_sample, gap.to_sample, gap.reason))
    return found


def samples(records: list[Record | Fault]) -> dict[int, tuple[int, ...]]:
    """Running number to the row of all leads; fails when a number comes twice."""
    rows: dict[int, tuple[int, ...]] = {}
    for group in ecg(records):
        for i, row in enumerate(group.array().T.tolist()):
            assert group.first_sample + i not in rows
            rows[group.first_sample + i] = tuple(row)
    return rows


def test_the_printed_example_is_read_as_printed() -> None:
    decoder = CytonDecoder("amp", ALL)
    out = decoder.feed(PRINTED_PACKET * 2, NS)
    out += decoder.flush(NS)
    group = ecg(out)[0]
    assert group.first_sample == 42
    physical_uv = group.physical()[:, 0]
    assert physical_uv[0] == pytest.approx(22.352, abs=0.001)
    assert physical_uv[1] == pytest.approx(-22.352, abs=0.001)
    assert list(physical_uv[4:]) == [0, 0, 0, 0]
    assert group.quality[2:4] == (Quality.SATURATED, Quality.SATURATED)
    assert group.quality[0] == Quality.GOOD
    acceleration = next(r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("accelerometer",))
    assert acceleration.physical()[2, 0] == pytest.approx(1.0)
    assert acceleration.scales[2].unit == "[g]"


def test_the_scale_is_the_documented_one() -> None:
    assert uv_per_count(24) == pytest.approx(0.02235174, abs=1e-8)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=60), st.binary(max_size=40))
def test_records_are_the_same_for_any_chunking(sizes: list[int], garbage: bytes) -> None:
    board = ramp_board()
    stream = garbage + b"".join(packets(board, 60)) + b"\xa0\x01noise" + b"".join(packets(board, 60))
    whole = CytonDecoder("amp", ALL)
    expected = whole.feed(stream, NS) + whole.flush(NS)
    chunked, out, at = CytonDecoder("amp", ALL), [], 0
    for size in sizes:
        out += chunked.feed(stream[at : at + size], NS)
        at += size
    out += chunked.feed(stream[at:], NS) + chunked.flush(NS)
    assert out == expected


def test_every_sample_of_the_simulator_comes_out_once_and_in_its_place() -> None:
    board = ramp_board()
    decoder = CytonDecoder("amp", {1: lead("II"), 2: lead("V1")})
    out = play(decoder, packets(board, 1000)) + decoder.flush(9 * NS)
    assert samples(out) == {i: tuple(board.counts[i, :2].tolist()) for i in range(1000)}
    assert not [r for r in out if isinstance(r, Gap | Fault)]


def test_unmapped_channels_are_not_delivered() -> None:
    out = play(CytonDecoder("amp", {2: lead("V1")}), packets(ramp_board(), 100))
    assert {g.leads for g in ecg(out)} == {(lead("V1"),)}


@pytest.mark.parametrize("lost", [1, 40, 255, 256, 257, 600])
def test_lost_packets_leave_one_gap_with_their_sample_numbers(lost: int) -> None:
    stream = packets(ramp_board(), 1000)
    stream[100 : 100 + lost] = [b""] * lost
    decoder = CytonDecoder("amp", ALL)
    out: list[Record | Fault] = []
    for i, packet in enumerate(stream):
        if i == 100 + lost:
            # 256 packets leave no trace in the counter: the link fell silent, and the agent says so
            out += decoder.flush(NS + i * SAMPLE_NS)
        if packet:
            out += decoder.feed(packet, NS + i * SAMPLE_NS)
    assert gaps(out, "ecg") == [(100, 100 + lost, LINK_LOSS)]
    assert set(samples(out)) == set(range(1000)) - set(range(100, 100 + lost))
    # one packet in ten carries the acceleration: what went with the lost ones is a gap of its own source
    moved = [n for g in beside(out, "accelerometer") for n in range(g.first_sample, g.end_sample)]
    missing = [n for first, end, _ in gaps(out, "accelerometer") for n in range(first, end)]
    assert sorted(moved + missing) == list(range(100))
    assert missing == sorted({n // 10 for n in range(100, 100 + lost) if n % 10 == 0})


def test_a_stall_of_the_gateway_that_lost_nothing_is_no_gap() -> None:
    stream = packets(ramp_board(), 500)
    decoder = CytonDecoder("amp", ALL)
    out = play(decoder, stream[:250])
    late_ns = NS + 500 * SAMPLE_NS
    for packet in stream[250:]:
        out += decoder.feed(packet, late_ns)
    assert not [r for r in out if isinstance(r, Gap)]
    assert len(samples(out)) == 500


def test_an_agent_that_was_restarted_goes_on_behind_the_stored_samples() -> None:
    board = ramp_board()
    first_ns = NS
    packets(board, 1234)  # nobody listened to the last 700 of them
    stored_end = 534
    end_ns = first_ns + stored_end * SAMPLE_NS
    ends = {("ecg",): ResumePoint(stored_end, end_ns), ("accelerometer",): ResumePoint(54, end_ns)}
    decoder = CytonDecoder("amp", ALL, resume=ends)
    out = play(decoder, packets(board, 100), first_ns + 1234 * SAMPLE_NS)
    assert gaps(out, "ecg") == [(stored_end, 1234, AGENT_RESTART)]
    assert min(samples(out)) == 1234
    assert gaps(out, "accelerometer") == [(54, 124, AGENT_RESTART)]


def test_a_board_that_was_reset_says_so_and_leaves_a_gap() -> None:
    board = ramp_board()
    decoder = CytonDecoder("amp", ALL)
    out = play(decoder, packets(board, 100))
    answer = board.command(b"v")
    board.command(b"b")
    out += decoder.feed(answer, 2 * NS)
    out += play(decoder, packets(board, 50), 2 * NS)
    event = next(r for r in out if isinstance(r, DeviceEvent))
    assert event.code == EVT_FIRMWARE
    assert "v3.1.2" in event.text
    assert [reason for _, _, reason in gaps(out, "ecg")] == [DEVICE_RESTART]


def test_text_answers_are_events_and_not_faults() -> None:
    decoder = CytonDecoder("amp", ALL)
    out = decoder.feed(BANNER, NS) + decoder.flush(NS)
    assert [type(r) for r in out] == [DeviceEvent]


def test_a_damaged_packet_is_reported_with_its_bytes_and_the_rest_goes_on() -> None:
    stream = packets(ramp_board(), 60)
    damaged = bytearray(stream[30])
    damaged[32] = 0x17
    stream[30] = bytes(damaged)
    decoder = CytonDecoder("amp", ALL)
    out = play(decoder, stream) + decoder.flush(9 * NS)
    faults = [r for r in out if isinstance(r, Fault)]
    assert [f.raw for f in faults] == [bytes(damaged)]
    assert "0xA0" in str(faults[0])
    assert set(range(60)) - set(samples(out)) == {30}
    assert gaps(out, "ecg") == [(30, 31, LINK_LOSS)]
    assert gaps(out, "accelerometer") == [(3, 4, LINK_LOSS)], "it carried the acceleration too"


def test_a_truncated_packet_costs_one_sample() -> None:
    stream = packets(ramp_board(), 80)
    stream[40] = stream[40][:20]
    decoder = CytonDecoder("amp", ALL)
    out = play(decoder, stream) + decoder.flush(9 * NS)
    assert set(range(80)) - set(samples(out)) == {40}


def test_endless_garbage_is_reported_in_bounded_pieces() -> None:
    decoder = CytonDecoder("amp", ALL)
    out = decoder.feed(bytes(20_000), NS)
    faults = [r for r in out if isinstance(r, Fault)]
    assert len(faults) >= 4
    assert all(len(f.raw) <= 4096 for f in faults)


@given(st.data())
def test_no_bytes_raise_and_each_is_delivered_or_reported(data: st.DataObject) -> None:
    stream = bytearray(b"".join(packets(ramp_board(), 40)))
    for _ in range(data.draw(st.integers(0, 12))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    decoder = CytonDecoder("amp", ALL)
    out = decoder.feed(bytes(stream), NS) + decoder.flush(NS)
    assume(not any(isinstance(r, DeviceEvent) for r in out))
    reported = sum(len(r.raw) for r in out if isinstance(r, Fault))
    assert reported + BYTES_PER_PACKET * sum(g.n for g in ecg(out)) == len(stream)


def test_time_stamped_packets_size_a_long_hole_by_the_boards_own_clock() -> None:
    def stamped(n: int) -> bytes:
        plain = bytearray(packets_of(n))
        plain[26:28] = bytes([ord("X"), 0])
        plain[28:32] = (n * 4).to_bytes(4, "big")  # 4 ms a sample
        plain[32] = 0xC4
        return bytes(plain)

    def packets_of(n: int) -> bytes:
        return bytes([0xA0, n % 256]) + bytes(30) + b"\xc0"

    decoder = CytonDecoder("amp", ALL)
    out: list[Record | Fault] = []
    for n in (*range(30), *range(1000, 1030)):
        out += decoder.feed(stamped(n), NS)  # all arrive at once: only the board's clock can tell
    assert [(g.from_sample, g.to_sample) for g in out if isinstance(g, Gap)] == [(30, 1000)]


def test_the_raw_aux_mode_is_delivered_as_its_own_source() -> None:
    stream = [bytes([0xA0, n]) + bytes(24) + (n * 3).to_bytes(2, "big") + bytes(4) + b"\xc1" for n in range(50)]
    out = play(CytonDecoder("amp", ALL), stream)
    groups = [r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("aux",)]
    assert [v for g in groups for v in g.array()[0].tolist()] == [3 * n for n in range(50)]


def test_groups_are_whole_tenths_of_a_second() -> None:
    groups = ecg(play(CytonDecoder("amp", ALL), packets(ramp_board(), 500)))
    assert {g.n for g in groups} == {25}
    assert all(b.first_sample == a.end_sample for a, b in pairwise(groups))
