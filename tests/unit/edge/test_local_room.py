"""The room of the local page when the gateway's clock is set: what was measured before hides nothing, and nobody silent looks live."""

import struct

from edge.local.room import Room
from edge.local.strips import Screen
from protocols.nomenclature import HEART_RATE, lead
from protocols.record import Observation, Scale, SourcePath, Times, WaveformGroup
from tests.fixtures.local_page import GATEWAY, placement

S = 1_000_000_000
HOUR = 3600 * S
NOW = 1_750_000_000 * S
SOURCE = SourcePath("cyton-1", ("ecg",))


class Clock:
    """The gateway's, as the agent tells it."""

    def __init__(self) -> None:
        self.now_ns = NOW

    def __call__(self) -> int:
        return self.now_ns


def room_at(clock: Clock) -> Room:
    room = Room(GATEWAY, lambda _: None, clock, str)
    room.place(placement())
    return room


def rate(value: float, at_ns: int) -> Observation:
    return Observation(SOURCE, HEART_RATE, value, "/min", Times(at_ns))


def shown(room: Room) -> tuple[float, str]:
    [bed] = room.beds("7b")
    return bed.numbers[HEART_RATE].value, room.link(bed).state


def test_a_number_measured_behind_a_step_back_is_shown_at_once_and_an_older_one_is_not():
    clock = Clock()
    room = room_at(clock)
    clock.now_ns += HOUR  # the clock is an hour ahead
    room.take([rate(97.0, clock.now_ns)])
    clock.now_ns -= HOUR
    room.clock_stepped(-HOUR)
    clock.now_ns += S
    room.take([rate(80.0, clock.now_ns)])
    assert shown(room) == (80.0, "live")
    room.take([rate(60.0, clock.now_ns - 60 * S)])
    assert shown(room)[0] == 80.0, "a reading that comes late stays an older one"


def test_a_device_that_falls_silent_behind_a_step_back_is_told_silent():
    clock = Clock()
    room = room_at(clock)
    clock.now_ns += HOUR
    room.take([rate(97.0, clock.now_ns)])
    clock.now_ns -= HOUR
    room.clock_stepped(-HOUR)
    assert shown(room)[1] == "live"
    clock.now_ns += 61 * S
    assert shown(room)[1] == "device_silent"


def test_a_device_is_not_silent_because_the_clock_was_set_ahead():
    clock = Clock()
    room = room_at(clock)
    room.take([rate(97.0, clock.now_ns)])
    clock.now_ns += HOUR
    room.clock_stepped(HOUR)
    assert shown(room)[1] == "live"


def samples(first: int, at_ns: int) -> WaveformGroup:
    return WaveformGroup(SOURCE, (lead("I"),), 250.0, first, bytes(500), "<i2", (Scale(1.0, 0.0, "uV"),), Times(at_ns))


def told(room: Room, screen: Screen) -> list[float]:
    """The clock that stands in each frame (docs/reference/http-api.md: f64 at 40)."""
    return [struct.unpack_from("<d", frame.numbered(0), 40)[0] for frame in room.frames("7b", screen)]


def test_frames_tell_of_a_step_back_and_those_from_before_it_do_not():
    clock, screen = Clock(), Screen(0.0)
    room = room_at(clock)
    clock.now_ns += HOUR
    room.take([samples(0, clock.now_ns)])
    assert told(room, screen) == [0.0]
    clock.now_ns += S
    room.clock_stepped(S)
    room.take([samples(250, clock.now_ns)])
    clock.now_ns -= HOUR
    room.clock_stepped(-HOUR)
    room.take([samples(500, clock.now_ns)])
    [before, first] = told(room, screen)
    assert (before, first > 0) == (0.0, True), "a step ahead is none back"
    room.take([samples(750, clock.now_ns + S)])
    assert told(room, screen) == [first]
    room.clock_stepped(-HOUR)
    room.take([samples(1000, clock.now_ns - HOUR)])
    [second] = told(room, screen)
    assert second not in {0.0, first}
    assert told(room, Screen(0.0)) == [0.0, 0.0, 0.0, 0.0, second], "a page that comes now"
