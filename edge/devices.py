"""All devices of a gateway, whichever way they come: links of its settings, visitors at its doors, and those that have not come yet."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocols.record import Acknowledgement, AlarmCondition, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from uuid import UUID

    from edge.doors.visitor import Visitor
    from edge.pipeline.device import DevicePipeline, Sink
    from edge.pipeline.unclaimed import Unclaimed
    from edge.placement import PlacementStore


@dataclass(frozen=True, slots=True)
class Devices:
    """`visitors` gives those that have come by now."""

    pipelines: "Mapping[str, DevicePipeline]"
    visitors: "Callable[[], Mapping[str, Visitor]]"
    unclaimed: "Unclaimed"
    sink: "Sink"

    def is_up(self, device: str) -> bool | None:
        """Whether a device is heard; None when nobody expects it."""
        found = self.pipelines.get(device) or self.visitors().get(device)
        return None if found is None else found.is_up

    def place(self, placements: "PlacementStore") -> None:
        """Go on under the placement that is on disk now."""
        for name, device in (*self.pipelines.items(), *self.visitors().items()):
            device.place(placements.of(name))

    def clock_stepped(self, by_ns: int) -> None:
        """The gateway's clock was set forward by `by_ns`."""
        for device in (*self.pipelines.values(), *self.visitors().values()):
            device.clock_stepped(by_ns)

    def acknowledge(self, alarms: "Collection[UUID]") -> None:
        """Somebody has seen these alarms: what is latched ends, what holds will not latch."""
        times = Times(self.sink.now_ns())
        for alarm in alarms:
            for pipeline in self.pipelines.values():
                pipeline.acknowledge(alarm)
            for visitor in self.visitors().values():
                self.sink.add(visitor.acknowledge(alarm, times))
            self.sink.add(self.unclaimed.acknowledge(alarm, times))

    def acknowledge_here(self, alarm: AlarmCondition, ticket: str) -> None:
        """Somebody has seen it at the gateway's own page: the record that says who and when goes before what follows from it."""
        at_ns = self.sink.now_ns()
        seen = Acknowledgement(at_ns, ticket)
        self.sink.add([replace(alarm, times=Times(at_ns), evidence=None, acknowledged=seen)])
        self.acknowledge((alarm.id,))
