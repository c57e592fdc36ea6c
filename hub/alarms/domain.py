"""An alarm at the hub as a pure fold of its event log, and what may be done with it (IEC 60601-1-8: 6.3.3, 6.8, 6.10).

The edge owns presence, the hub the signal. Events may come late and twice; the fold gives the same state in whatever order
the edge's changes arrive. What came later is told by the gateway's own numbers and not by its clock, which may step
(docs/decisions/0165). Times are integer milliseconds since 1970 UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from protocols.record import Presence

ParamValue: TypeAlias = str | int | float | bool | None

# Kinds of events by which the edge changes an alarm; the hops (sent, stored, shown, heard) are history only.
EDGE_KINDS = frozenset({"detected", "changed", "latched", "ended"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a change stands in its gateway's order: spool (16 random bytes), batch of the alarm lane, record in the batch."""

    epoch: bytes
    n: int
    index: int


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One row of the log. `priority`, `presence`, `params` and `place` are there in the edge's changes only.

    `place` is None in what was stored before places were, and in what came from a hub below that does not tell them.
    `who` of a change names its gateway; one behind a hub as `gateway:HUB/GATEWAY`.
    """

    event_id: int
    kind: str
    at_us: int
    who: str = ""
    priority: str = ""
    presence: str = ""
    params: Mapping[str, ParamValue] | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who saw it first, and when."""

    who: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class State:
    """What the log says. `presence` as the edge last said; `shown_as` is what a screen shows.

    `changed_us`: when the edge last changed it; `condition_ended_ms`: when what it tells of was over, None while it goes on. Both by
    the gateway's clock of that moment.
    """

    priority: str
    presence: Presence
    params: Mapping[str, ParamValue]
    detected_us: int
    changed_us: int
    condition_ended_ms: int | None
    acknowledged: Acknowledgement | None

    @property
    def detected_ms(self) -> int:
        """When the edge raised it."""
        return self.detected_us // 1000

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

    Of a gateway's changes the one counts that it numbered last; of several gateways, whose numbers cannot be compared, the one whose
    last change has the latest time. Of acknowledgements the first in the log.
    """
    by_gateway: dict[str, list[AlarmEvent]] = {}
    acknowledged: AlarmEvent | None = None
    for event in events:
        if event.kind in EDGE_KINDS:
            by_gateway.setdefault(event.who, []).append(event)
        elif event.kind == "acknowledged" and (acknowledged is None or event.event_id < acknowledged.event_id):
            acknowledged = event
    if not by_gateway:
        msg = "an alarm's log without a change of the edge"
        raise ValueError(msg)
    told = [_in_order(changes) for changes in by_gateway.values()]
    counts = max(told, key=lambda changes: _by_time(changes[-1]))
    newest = counts[-1]
    return State(
        priority=newest.priority,
        presence=Presence(newest.presence),
        params=newest.params or {},
        detected_us=min(changes[0].at_us for changes in told),
        changed_us=newest.at_us,
        condition_ended_ms=_ended_ms(counts),
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


def _in_order(changes: Sequence[AlarmEvent]) -> list[AlarmEvent]:
    """A gateway's changes as it made them. Its spools follow each other as they were first heard of; without a place: before, by time."""
    first_heard: dict[bytes, int] = {}
    for change in changes:
        if change.place is not None:
            epoch = change.place.epoch
            first_heard[epoch] = min(first_heard.get(epoch, change.event_id), change.event_id)

    def key(change: AlarmEvent) -> tuple[int, int, int, tuple[int, int, int]]:
        if change.place is None:
            return -1, 0, 0, _by_time(change)
        return first_heard[change.place.epoch], change.place.n, change.place.index, (0, 0, change.event_id)

    return sorted(changes, key=key)


def _by_time(event: AlarmEvent) -> tuple[int, int, int]:
    return event.at_us, _LIFE.index(Presence(event.presence)), event.event_id


def _ended_ms(changes: Sequence[AlarmEvent]) -> int | None:
    """When the condition ended that the last of these changes says is over."""
    ended_ms: int | None = None
    for change in reversed(changes):
        if change.presence == Presence.PRESENT:
            break
        ended_ms = change.at_us // 1000
    return ended_ms
