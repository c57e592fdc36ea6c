"""Positions: sets of numbers as ranges, compared with plain sets; and what a peer may not state."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError
from protocols.link import MAX_N, MAX_RANGES, Lane, Position, Ranges
from protocols.uplink_pb2 import LanePosition, Range

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.integers(0, 8)), max_size=40)


def numbers(ranges: "Ranges | list[tuple[int, int]]") -> set[int]:
    return {n for first, last in ranges for n in range(first, last + 1)}


@given(STEPS, st.integers(1, 50), st.integers(0, 20))
def test_ranges_are_the_set_that_was_put_together(steps: list[tuple[bool, int, int]], first: int, length: int):
    ranges, expected, last = Ranges(), set[int](), first + length
    for add, start, more in steps:
        (ranges.add if add else ranges.remove)(start, start + more)
        (expected.update if add else expected.difference_update)(range(start, start + more + 1))
    kept = list(ranges)
    assert numbers(kept) == expected
    assert all(a[1] + 1 < b[0] for a, b in pairwise(kept)), "in order, none touches the next"
    assert ranges.newest == max(expected, default=0)
    asked = set(range(first, last + 1))
    assert numbers(list(ranges.missing(first, last))) == asked - expected
    assert numbers(list(ranges.within(first, last))) == asked & expected
    assert ranges.contains(first, last) is (asked <= expected)
    assert ranges.contains(first) is (first in expected)


@given(STEPS)
def test_a_position_comes_back_from_the_wire(steps: list[tuple[bool, int, int]]):
    position = Position((start, start + more) for _, start, more in steps)
    back = Position.from_proto(position.to_proto(Lane.NUMERIC))
    assert list(back) == list(position)
    assert (back.cumulative, back.above) == (position.cumulative, position.above)


@pytest.mark.parametrize(
    ("cumulative", "stored"),
    [
        (5, [(6, 7)]),  # belongs to the cumulative part
        (5, [(3, 7)]),
        (0, [(1, 2)]),
        (0, [(4, 3)]),
        (0, [(3, 4), (5, 6)]),  # one range
        (0, [(8, 9), (3, 4)]),
        (0, [(3, 2**63)]),
        (2**63, []),
        (0, [(3 * n, 3 * n) for n in range(1, MAX_RANGES + 2)]),
    ],
)
def test_a_position_in_another_form_is_refused(cumulative: int, stored: list[tuple[int, int]]):
    message = LanePosition(
        lane=Lane.EVENT.wire, cumulative=cumulative, stored=[Range(first=a, last=b) for a, b in stored]
    )
    with pytest.raises(DecodeError, match="position of lane 2"):
        Position.from_proto(message)


def test_a_position_with_more_ranges_than_a_peer_accepts_is_not_sent():
    position = Position((3 * n, 3 * n) for n in range(1, MAX_RANGES + 2))
    with pytest.raises(ValueError, match="expected at most 1024"):
        position.to_proto(Lane.EVENT)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (5, 4), (1, MAX_N + 1)])
def test_numbers_outside_the_wire_are_refused(first: int, last: int):
    with pytest.raises(ValueError, match="expected 1 <= first <= last"):
        Ranges().add(first, last)
