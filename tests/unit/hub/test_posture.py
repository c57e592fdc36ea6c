"""Names of postures from gravity, and which change is a turn."""

import math

import pytest

from hub.beds.posture import BODY_AXES, OWN_AXES, Posture, Vector, axes_of, posture_of, turns


def up(*, trunk: float, roll: float) -> Vector:
    """Up along left, head and front of a trunk so many degrees above the horizontal, rolled to its left by so many."""
    head, flat = math.sin(math.radians(trunk)), math.cos(math.radians(trunk))
    # who rolls onto the left side turns the right one up
    return (-flat * math.sin(math.radians(roll)), head, flat * math.cos(math.radians(roll)))


@pytest.mark.parametrize(
    ("trunk", "roll", "posture"),
    [
        (5, 0, Posture.SUPINE),
        (5, 30, Posture.SUPINE),
        (5, 90, Posture.LEFT_SIDE),
        (5, -90, Posture.RIGHT_SIDE),
        (40, 80, Posture.LEFT_SIDE),  # on the side with the head of the bed raised
        (0, 180, Posture.PRONE),
        (45, 0, Posture.RECLINED),
        (80, 0, Posture.UPRIGHT),
        (90, 0, Posture.UPRIGHT),
        (-30, 0, Posture.HEAD_DOWN),
    ],
)
def test_a_posture_is_named_by_which_way_is_up(trunk: float, roll: float, posture: Posture):
    assert posture_of(up(trunk=trunk, roll=roll)) is posture


def test_a_turn_tells_how_somebody_lies_now_and_lay_before():
    felt = [(ms, up(trunk=5, roll=0 if ms < 3000 else 90)) for ms in range(0, 6000, 1000)]
    (turn,) = turns("strap/accelerometer", felt, is_body=True)
    assert (turn.at_ms, turn.posture, turn.before) == (3000, Posture.LEFT_SIDE, Posture.SUPINE)
    assert turn.degrees == pytest.approx(90, abs=2)


def test_who_lies_between_two_names_does_not_turn_at_each_breath():
    felt = [(ms * 1000, up(trunk=5, roll=44 if ms % 2 else 46)) for ms in range(100)]
    assert turns("strap/accelerometer", felt, is_body=True) == []


def test_a_raised_head_of_the_bed_is_told_although_it_is_no_turn_to_the_side():
    felt = [(0, up(trunk=5, roll=0)), (1, up(trunk=45, roll=0))]
    assert [turn.posture for turn in turns("strap/accelerometer", felt, is_body=True)] == [Posture.RECLINED]


def test_of_a_sensor_whose_axes_are_not_known_only_the_turn_is_told():
    felt = [(0, (0.0, 0.0, 1.0)), (1, (0.5, 0.0, 0.87)), (2, (1.0, 0.0, 0.0))]
    (turn,) = turns("board/accelerometer", felt)
    assert (turn.at_ms, turn.degrees, turn.posture, turn.before) == (2, 90, None, None)


def test_who_is_being_moved_is_not_lying():
    felt = [(0, (0.0, 0.0, 1.0)), (1, (2.0, 0.0, 0.0)), (2, (0.1, 0.0, 0.0)), (3, (0.0, 0.0, 1.0))]
    assert turns("strap/accelerometer", felt, is_body=True) == []


def test_the_bodys_axes_are_taken_where_a_stream_has_them():
    assert axes_of(["other", *reversed(BODY_AXES)]) == BODY_AXES
    assert axes_of(OWN_AXES) == OWN_AXES
    assert axes_of(["MDC_ECG_ELEC_POTL_II"]) is None
