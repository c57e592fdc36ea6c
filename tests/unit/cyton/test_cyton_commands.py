"""Each command that protocols.cyton names, told to a simulated board that was written from OpenBCI's documentation alone."""

import numpy as np
import pytest

from firmware_adapters.adapter import DeviceConfig
from firmware_adapters.registry import find_adapter
from firmware_adapters.simulate.cyton import BANNER, Board
from protocols import cyton
from protocols.errors import Fault
from protocols.nomenclature import EVT_FIRMWARE, lead
from protocols.record import NS_PER_S, DeviceEvent, Gap, Record, WaveformGroup

ALL = {c: lead(name) for c, name in enumerate(("I", "II", "III", "V1", "V2", "V3", "V4", "V5"), start=1)}


@pytest.fixture
def board() -> Board:
    """Eight channels, each with a steady signal of its own, streaming."""
    board = Board(np.outer(np.arange(100.0, 900.0, 100.0), np.ones(2000)))
    assert board.command(cyton.COMMAND_START) == b""
    return board


def decoded(stream: bytes) -> list[Record | Fault]:
    decoder = cyton.CytonDecoder("amp", ALL)
    return decoder.feed(stream, NS_PER_S) + decoder.flush(NS_PER_S)


def packets(board: Board, n: int) -> bytes:
    return b"".join(board.next_packet() for _ in range(n))


def footers(stream: bytes) -> list[int]:
    return list(stream[cyton.PACKET_BYTES - 1 :: cyton.PACKET_BYTES])


def test_start_and_stop(board: Board) -> None:
    assert board.streaming
    assert board.command(cyton.COMMAND_STOP) == b""
    assert not board.streaming
    board.command(cyton.COMMAND_START)
    assert board.streaming


def test_a_reset_stops_the_board_which_says_what_it_is_and_counts_from_the_beginning(board: Board) -> None:
    packets(board, 30)
    assert board.command(cyton.COMMAND_RESET) == BANNER
    assert not board.streaming
    board.command(cyton.COMMAND_START)
    assert board.next_packet()[1] == 0


@pytest.mark.parametrize("command", [cyton.COMMAND_REGISTERS, cyton.COMMAND_DEFAULTS, cyton.COMMAND_RESET])
def test_what_the_firmware_answers_is_an_event(board: Board, command: bytes) -> None:
    assert board.command(cyton.COMMAND_REGISTERS) == b"", (
        "the firmware tells of its registers only while it does not stream"
    )
    board.command(cyton.COMMAND_STOP)
    (event,) = decoded(board.command(command))
    assert isinstance(event, DeviceEvent)
    assert event.code == EVT_FIRMWARE
    assert event.text


@pytest.mark.parametrize("channel", ALL)
def test_a_channel_is_switched_off_and_on_alone(board: Board, channel: int) -> None:
    def seen() -> list[float]:
        (group,) = (r for r in decoded(packets(board, 5)) if isinstance(r, WaveformGroup) and r.source.path == ("ecg",))
        return group.physical()[:, 0].tolist()

    before = seen()
    board.command(cyton.channel_switch(channel, on=False))
    assert seen() == [0 if c == channel else uv for c, uv in enumerate(before, start=1)]
    board.command(cyton.channel_switch(channel, on=True))
    assert seen() == before == pytest.approx(list(range(100, 900, 100)), abs=0.02)


def test_stamps_carry_the_boards_time_and_the_acceleration_until_they_are_switched_off(board: Board) -> None:
    board.command(cyton.COMMAND_STAMPS_ON)
    stream = packets(board, 100)
    assert footers(stream) == [0xC3] + [0xC4] * 99
    packets(board, 900)  # nobody hears these
    late = packets(board, 100)
    out = decoded(stream + late)  # all at once: only the board's time tells how long the hole is
    holes = [(r.source.path, r.from_sample, r.to_sample) for r in out if isinstance(r, Gap)]
    assert holes == [(("ecg",), 100, 1000), (("accelerometer",), 10, 100)]
    assert sum(r.n for r in out if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)) == 200
    acceleration = [r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("accelerometer",)]
    assert sum(r.n for r in acceleration) == 20
    assert {tuple(row) for r in acceleration for row in r.physical().T.tolist()} == {(0, 0, 1)}
    board.command(cyton.COMMAND_STAMPS_OFF)
    assert footers(packets(board, 20)) == [0xC0] * 20


def test_the_settings_of_a_channel_are_taken_by_a_board_that_is_still(board: Board) -> None:
    board.command(cyton.COMMAND_STOP)
    for channel in ALL:
        for gain in cyton.GAINS:
            assert board.command(cyton.channel_settings(channel, gain=gain)) == b"Success: channel set$$$"
    assert cyton.channel_settings(1, gain=24) == b"x1060110X"  # as OpenBCI prints it


@pytest.mark.parametrize("gain", cyton.GAINS)
@pytest.mark.parametrize("streams_yet", [False, True])
def test_microvolt_are_the_same_at_every_gain_that_the_settings_can_have(gain: int, streams_yet: bool) -> None:
    names, expected_uv = ("I", "V5"), [[-900.0, 100.0, 5000.0], [800.0, -1.0, 0.5]]
    board = Board(np.array([expected_uv[0], *np.zeros((6, 3)), expected_uv[1]]))
    if streams_yet:
        board.command(cyton.COMMAND_START)
    config = DeviceConfig("amp", "cyton", "", {"channels": {"1": names[0], "8": names[1]}, "gain": gain})
    adapter = find_adapter("cyton")
    answers = [board.command(command) for command in adapter.wake(config)]
    assert answers == [b"", *[b"Success: channel set$$$"] * 2, b""]
    decoder = adapter.decoder(config, {})
    out = [*decoder.feed(packets(board, 3), NS_PER_S), *decoder.flush(NS_PER_S)]
    (group,) = (r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("ecg",))
    step_uv = 4.5e6 / gain / (2**23 - 1)  # ADS1299: 24 bit over 4.5 V on either side, in front of them the gain
    assert group.physical() == pytest.approx(np.array(expected_uv), abs=step_uv / 2)


def test_commands_that_no_board_knows_are_not_made() -> None:
    with pytest.raises(ValueError, match="gain 5"):
        cyton.channel_settings(1, gain=5)
    with pytest.raises(ValueError, match="channel 9"):
        cyton.channel_switch(9, on=True)
