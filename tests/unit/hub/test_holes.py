"""What a ward page is told of samples that were jumped over: not what was only overtaken, and what is missing within the time promised."""

from math import inf

from hub.wards.holes import HELD, WAIT_S, Holes

FS_HZ = 250
SECOND = 1_000_000_000
START = 1_780_000_000 * SECOND


def at(sample: int) -> int:
    return START + sample * SECOND // FS_HZ


def jump(first: int, end: int, now_s: float = 100.0) -> Holes:
    holes = Holes()
    holes.jumped(first, end, at(first), at(end), now_s)
    return holes


def came(holes: Holes, first: int, end: int) -> None:
    holes.came(first, end, at(first), at(end))


def test_a_hole_is_told_once_when_it_has_waited():
    holes = jump(250, 500)
    assert holes.due(100.0 + WAIT_S - 0.01) == []
    assert holes.due(100.0 + WAIT_S) == [(at(250), at(500))]
    assert holes.due(200.0) == []


def test_a_hole_waits_for_a_gateway_that_has_older_data_to_send_and_then_for_its_word():
    holes = jump(250, 500)
    assert holes.due(5000.0, inf) == []
    came(holes, 250, 400)
    assert holes.due(5000.0 + WAIT_S - 0.01, 5000.0) == []
    assert holes.due(5000.0 + WAIT_S, 5000.0) == [(at(400), at(500))]


def test_of_more_holes_than_are_held_the_oldest_are_told_whatever_is_still_to_come():
    holes = Holes()
    for number in range(HELD + 2):
        holes.jumped(500 * number, 500 * number + 250, at(500 * number), at(500 * number + 250), 100.0 + number)
    assert holes.due(5000.0, inf) == [(at(0), at(250)), (at(500), at(750))]


def test_pieces_that_were_overtaken_leave_no_hole_whatever_their_order():
    holes = jump(250, 500)
    for first in (438, 250, 375, 313):
        came(holes, first, min(500, first + 63))
    assert holes.due(200.0) == []


def test_of_a_hole_that_is_filled_in_part_the_rest_is_told():
    holes = jump(250, 750)
    came(holes, 375, 500)
    assert holes.due(200.0) == [(at(250), at(375)), (at(500), at(750))]


def test_samples_of_an_earlier_count_fill_nothing():
    holes = jump(250, 500)
    holes.came(250, 500, at(250) - 60 * SECOND, at(500) - 60 * SECOND)
    assert holes.due(200.0) == [(at(250), at(500))]


def test_a_gap_that_the_gateway_explains_is_not_said_a_second_time_before_or_behind_the_jump():
    wander_ns = 12_000_000
    behind, before = jump(250, 500), Holes()
    behind.told(at(250) + wander_ns, at(500) - wander_ns)
    before.told(at(250) + wander_ns, at(500) - wander_ns)
    before.jumped(250, 500, at(250), at(500), 100.0)
    assert (behind.due(200.0), before.due(200.0)) == ([], [])


def test_what_an_explained_gap_does_not_reach_is_told_as_unknown():
    holes = jump(250, 1000)
    holes.told(at(250), at(500))
    [(from_ns, to_ns)] = holes.due(200.0)
    assert to_ns == at(1000)
    assert abs(from_ns - at(500)) <= 50_000_000
    elsewhere = jump(250, 500)
    elsewhere.told(at(1000), at(1250))
    assert elsewhere.due(200.0) == [(at(250), at(500))]
