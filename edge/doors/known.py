"""The packages that have come: what is durable of them, lane by lane, as far back as a sender can repeat (decision 0070)."""

from collections.abc import Iterable, Mapping

from edge.spool import ARRIVALS_KEPT
from protocols.link import Lane
from protocols.wire import Arrival


class Known:
    """Made of what the spool knew when it was opened; `note` follows each durable write."""

    def __init__(self, arrivals: Mapping[Lane, Iterable[Arrival]]) -> None:
        self._devices: dict[str, dict[Lane, dict[bytes, None]]] = {}
        for lane, known in arrivals.items():
            for arrival in known:
                self.note(lane, arrival)

    def lanes(self, arrival: Arrival) -> frozenset[Lane]:
        """The lanes that have all their records of a package."""
        lanes = self._devices.get(arrival.device)
        if lanes is None:
            return frozenset()
        return frozenset([lane for lane, known in lanes.items() if arrival.identity in known])

    def note(self, lane: Lane, arrival: Arrival) -> None:
        """The records of a package are durable in a lane."""
        known = self._devices.setdefault(arrival.device, {}).setdefault(lane, {})
        known[arrival.identity] = None
        if len(known) > ARRIVALS_KEPT:
            del known[next(iter(known))]
