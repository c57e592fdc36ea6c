"""Alarms that stood when the agent started, of devices that have not come again yet: an acknowledgement reaches them all the same."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from protocols.record import AlarmCondition, Presence, Times


class Unclaimed:
    """What the spool knows of alarms from before the start, until their device takes them over."""

    def __init__(self, alarms: Iterable[AlarmCondition]) -> None:
        self._alarms = {alarm.id: alarm for alarm in alarms}
        self._seen: set[UUID] = set()

    def take(self, device: str) -> tuple[tuple[AlarmCondition, ...], frozenset[UUID]]:
        """The alarms of a device that has come, and which of them somebody has acknowledged meanwhile; they are its own now."""
        own = tuple(alarm for alarm in self._alarms.values() if alarm.source.device == device)
        seen = frozenset(alarm.id for alarm in own if alarm.id in self._seen)
        for alarm in own:
            del self._alarms[alarm.id]
        self._seen -= seen
        return own, seen

    def acknowledge(self, alarm: UUID, times: Times) -> tuple[AlarmCondition, ...]:
        """Somebody has acknowledged an alarm: a latched one ends here; one whose condition held waits for its device."""
        found = self._alarms.get(alarm)
        if found is None:
            return ()
        if found.presence is not Presence.LATCHED:
            self._seen.add(alarm)
            return ()
        del self._alarms[alarm]
        return (replace(found, presence=Presence.ENDED, detected_ns=times.best_ns, times=times, acknowledged=None),)
