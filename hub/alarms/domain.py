"""An alarm at the hub as a pure fold of its event log, and what may be done with it (IEC 60601-1-8: 6.3.3, 6.8, 6.10).

The edge owns presence, the hub the signal. Events may come late and twice; the fold gives the same state in whatever order
the edge's changes arrive. Times are integer milliseconds since 1970 UTC.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from protocols.record import Presence

ParamValue: TypeAlias = str | int | float | bool | None

# Kinds of events by which the edge changes an alarm; the hops (sent, stored, shown, heard) are history only.
EDGE_KINDS = frozenset({"detected", "changed", "latched", "ended"})


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One row of the log. `priority`, `presence` and `params` are there in the edge's changes only."""

    event_id: int
    kind: str
    at_us: int
    who: str = ""
    priority: str = ""
    presence: str = ""
    params: Mapping[str, ParamValue] | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who saw it first, and when."""

    who: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class State:
    """What the log says. `presence` as the edge last said; `shown_as` is what a screen shows."""

    priority: str
    presence: Presence
    params: Mapping[str, ParamValue]
    detected_ms: int
    acknowledged: Acknowledgement | None

    @property
    def shown_as(self) -> Presence:
        """A latched signal stays until somebody has seen it, and no longer (6.10)."""
        if self.presence is Presence.LATCHED and self.acknowledged is not None:
            return Presence.ENDED
        return self.presence

    @property
    def over(self) -> bool:
        """Whether nothing is left to see or do."""
        return self.shown_as is Presence.ENDED and self.acknowledged is not None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm: what never changes, and its state. `point_of_care_id` is where its device was at the onset."""

    alarm_id: UUID
    source: str
    code: str
    kind: str
    onset_ms: int
    stored_ms: int
    point_of_care_id: int | None
    state: State


@dataclass(frozen=True, slots=True)
class Published:
    """An alarm as it was after one event of the log."""

    event_id: int
    alarm: Alarm


@dataclass(frozen=True, slots=True)
class Past:
    """An alarm of the past; `condition_ended_ms` is when what it tells of was over, None while it goes on."""

    alarm: Alarm
    condition_ended_ms: int | None


class Verdict(StrEnum):
    """What an acknowledgement comes to."""

    TAKEN = "taken"
    ALREADY = "already"  # somebody was first, or this is the same press again
    OVER = "over"  # it had ended and was seen: there is nothing to acknowledge


def fold(events: Iterable[AlarmEvent]) -> State:
    """Make the state of a log; ValueError when it holds no change of the edge.

    Of the edge's changes the one with the latest time counts, of two at one time the further on in life; of
    acknowledgements the first in the log.
    """
    newest: AlarmEvent | None = None
    first_us: int | None = None
    acknowledged: AlarmEvent | None = None
    for event in events:
        if event.kind in EDGE_KINDS:
            first_us = event.at_us if first_us is None else min(first_us, event.at_us)
            if newest is None or _place(event) >= _place(newest):
                newest = event
        elif event.kind == "acknowledged" and (acknowledged is None or event.event_id < acknowledged.event_id):
            acknowledged = event
    if newest is None or first_us is None:
        msg = "an alarm's log without a change of the edge"
        raise ValueError(msg)
    return State(
        priority=newest.priority,
        presence=Presence(newest.presence),
        params=newest.params or {},
        detected_ms=first_us // 1000,
        acknowledged=None if acknowledged is None else Acknowledgement(acknowledged.who, acknowledged.at_us // 1000),
    )


def judge(state: State, who: str) -> Verdict:
    """Say what it comes to when `who` acknowledges now."""
    if state.acknowledged is None:
        return Verdict.TAKEN
    if state.shown_as is Presence.ENDED and state.acknowledged.who != who:
        return Verdict.OVER
    return Verdict.ALREADY


_LIFE = (Presence.PRESENT, Presence.LATCHED, Presence.ENDED)


def _place(event: AlarmEvent) -> tuple[int, int, int]:
    return event.at_us, _LIFE.index(Presence(event.presence)), event.event_id
