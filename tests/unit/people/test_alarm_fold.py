"""An alarm's state is what its log says, in whatever order the edge's changes came."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.alarms.domain import AlarmEvent, Place, Verdict, fold, judge
from protocols.record import Presence

KIND = {"present": "changed", "latched": "latched", "ended": "ended"}
EDGE = st.tuples(
    st.integers(0, 10_000_000), st.sampled_from(list(Presence)), st.sampled_from(["high", "medium", "low"])
)
PEOPLE = st.sampled_from(["user:1", "user:2", "user:3"])


def log_of(changes: list[tuple[int, Presence, str]], seen: list[str]) -> list[AlarmEvent]:
    edge = [
        AlarmEvent(i, KIND[presence], at, "gateway:g", priority, presence, {"at": at})
        for i, (at, presence, priority) in enumerate(changes)
    ]
    hops = [AlarmEvent(1000 + i, kind, 5_000_000) for i, kind in enumerate(("sent", "stored", "shown", "heard"))]
    return edge + hops + [AlarmEvent(2000 + i, "acknowledged", 9_000_000 + i, who) for i, who in enumerate(seen)]


@given(st.lists(EDGE, min_size=1, max_size=8, unique_by=lambda change: change[0]), st.lists(PEOPLE), st.randoms())
def test_the_order_in_which_changes_arrive_does_not_matter(
    changes: list[tuple[int, Presence, str]], seen: list[str], random: Random
):
    log = log_of(changes, seen)
    shuffled = list(log)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(log)


@given(st.lists(EDGE, min_size=1, max_size=8), st.lists(PEOPLE))
def test_an_event_that_comes_twice_changes_nothing(changes: list[tuple[int, Presence, str]], seen: list[str]):
    log = log_of(changes, seen)
    assert fold(log + log) == fold(log)


@given(st.lists(EDGE, min_size=1, max_size=8, unique_by=lambda change: change[0]), st.lists(PEOPLE))
def test_the_edges_latest_change_and_the_first_to_acknowledge_count(
    changes: list[tuple[int, Presence, str]], seen: list[str]
):
    state = fold(log_of(changes, seen))
    at, presence, priority = max(changes)
    assert (state.presence, state.priority, state.params) == (presence, priority, {"at": at})
    assert state.detected_ms == min(changes)[0] // 1000
    assert (state.acknowledged.who if state.acknowledged else None) == (seen[0] if seen else None)


@given(st.lists(EDGE, min_size=1, max_size=5), st.lists(PEOPLE, max_size=3), PEOPLE)
def test_acknowledging_is_taken_once_and_never_from_nobody(
    changes: list[tuple[int, Presence, str]], seen: list[str], who: str
):
    log = log_of(changes, seen)
    verdict = judge(fold(log), who)
    assert (verdict is Verdict.TAKEN) == (not seen)
    after = fold([*log, AlarmEvent(9999, "acknowledged", 99_000_000, who)])
    assert after.acknowledged is not None
    assert after.acknowledged.who == (seen[0] if seen else who)
    assert judge(after, after.acknowledged.who) is Verdict.ALREADY


@given(st.lists(EDGE, min_size=1, max_size=8), st.randoms())
def test_a_gateways_changes_count_as_it_numbered_them_whatever_its_clock_showed(
    changes: list[tuple[int, Presence, str]], random: Random
):
    ids = list(range(len(changes)))
    random.shuffle(ids)  # as they came
    log = [
        AlarmEvent(ids[n], KIND[presence], at, "gateway:g", priority, presence, {"n": n}, Place(b"e", n // 2, n % 2))
        for n, (at, presence, priority) in enumerate(changes)
    ]
    state = fold(log)
    _, presence, priority = changes[-1]
    assert (state.presence, state.priority, state.params) == (presence, priority, {"n": len(changes) - 1})
    assert state.detected_ms == changes[0][0] // 1000


def test_the_condition_of_an_alarm_ended_when_the_edge_first_said_so_behind_its_last_presence():
    log = [
        AlarmEvent(n, KIND[presence], at, "gateway:g", "high", presence, {}, Place(b"e", n, 0))
        for n, (at, presence) in enumerate(
            [(3_600_000, Presence.PRESENT), (9_000, Presence.LATCHED), (5_000, Presence.PRESENT), (7_000, Presence.LATCHED),
             (8_000, Presence.ENDED)]
        )
    ]  # fmt: skip
    assert [fold(log[: n + 1]).condition_ended_ms for n in range(5)] == [None, 9, None, 7, 7]


def test_a_latched_alarm_is_shown_until_somebody_has_seen_it():
    log = log_of([(1, Presence.PRESENT, "high"), (2, Presence.LATCHED, "high")], [])
    assert (fold(log).shown_as, fold(log).over) == (Presence.LATCHED, False)
    seen = fold(log + log_of([(1, Presence.PRESENT, "high")], ["user:1"])[-1:])
    assert (seen.shown_as, seen.over) == (Presence.ENDED, True)
    assert judge(seen, "user:2") is Verdict.OVER


def test_a_log_without_a_change_of_the_edge_is_no_alarm():
    with pytest.raises(ValueError, match="without a change of the edge"):
        fold([AlarmEvent(1, "acknowledged", 1, "user:1")])
