"""Holds devices to their pace, so that one that floods a door leaves the others alone (docs/decisions/0147).

A device has a bucket of messages, one of bytes and one of alarms. What is beyond is not taken; that it began and ended is told once
each, with how much it was. Leaves to the intake what the sender hears.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edge.health.metrics import DOOR_HELD_BACK
from edge.pipeline.screened import Screened
from protocols.nomenclature import EVT_THROTTLE_ENDED, EVT_THROTTLED, QUEUE_OVERFLOW
from protocols.pace import Bucket
from protocols.record import DeviceEvent, Gap, Params, Record, SourcePath, Times

BURST_S = 10.0
QUIET_S = 10.0  # so long without a message too many, and the flood is over
STRANGERS = 10.0  # those without authentication share a door's pace, of so many devices


@dataclass(frozen=True, slots=True)
class Rate:
    """What a device may send at a door in the long run; BURST_S seconds of it at once."""

    messages_per_s: float = 20.0
    bytes_per_s: float = 512 * 1024.0
    # Less than half of what the hub takes from a gateway: what it lets a ward tell at once fills up again under a flood (decision 0169).
    alarms_per_s: float = 20.0

    def times(self, factor: float) -> "Rate":
        """So many times as much."""
        return Rate(self.messages_per_s * factor, self.bytes_per_s * factor, self.alarms_per_s * factor)


@dataclass(frozen=True, slots=True)
class Rates:
    """Of every device, and of those that settings give one of their own."""

    usual: Rate = field(default_factory=Rate)
    own: Mapping[str, Rate] = field(default_factory=lambda: MappingProxyType(dict[str, Rate]()))

    def of(self, device: str) -> Rate:
        """What a device may send."""
        return self.own.get(device, self.usual)

    def with_own(
        self, device: str, messages_per_s: float | None, bytes_per_s: float | None, alarms_per_s: float | None = None
    ) -> "Rates":
        """The same with one device's own."""
        usual = self.usual
        rate = Rate(
            messages_per_s or usual.messages_per_s,
            bytes_per_s or usual.bytes_per_s,
            alarms_per_s or usual.alarms_per_s,
        )
        return replace(self, own=MappingProxyType({**self.own, device: rate}))


class Pacer:
    """The pace of one sender. `now_s`: a steady clock."""

    def __init__(self, rate: Rate, now_s: Callable[[], float]) -> None:
        self._messages = Bucket(rate.messages_per_s, BURST_S)
        self._bytes = Bucket(rate.bytes_per_s, BURST_S)
        self._alarms = Bucket(rate.alarms_per_s, BURST_S)
        self._now_s = now_s

    def admits(self, size: int) -> bool:
        """Whether a message of so many bytes is within the pace; it is counted then."""
        now_s = self._now_s()
        if not self._messages.take(1, now_s):
            return False
        if self._bytes.take(size, now_s):
            return True
        self._messages.give_back(1)
        return False

    def admits_alarms(self, alarms: int) -> bool:
        """Whether a package with so many alarms is within the pace; they are counted then. The first is, however many it has."""
        return self._alarms.take(alarms, self._now_s())


class Flood:
    """Whether a device sends more than it may, as the spool, the ledger and the ward are told. It is over after QUIET_S by itself."""

    def __init__(
        self, source: SourcePath, add: Callable[[list[Record]], None], now_ns: Callable[[], int], rate: Rate
    ) -> None:
        self._source, self._add, self._now_ns, self._rate = source, add, now_ns, rate
        self._since_ns = self._last_ns = self._lost_from_ns = self._lost_to_ns = 0
        self._held_back = self._given_up = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    @property
    def holds(self) -> bool:
        """Whether the device is held back."""
        return self._timer is not None

    def beyond(self, screened: Screened | None, at_ns: int, *, given_up: bool) -> None:
        """A message beyond the pace has come. `screened`: what raises the alarm of the device; None: nobody believes its name."""
        DOOR_HELD_BACK.labels(device=self._source.device, given_up=str(given_up).lower()).inc()
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + QUIET_S
        self._last_ns = at_ns
        if given_up:
            self._given_up += 1
            self._lost_from_ns = self._lost_from_ns or at_ns
            self._lost_to_ns = at_ns + 1
        else:
            self._held_back += 1
        if self._timer is None:
            self._since_ns = at_ns
            params: Params = (
                ("messages_per_s", self._rate.messages_per_s),
                ("bytes_per_s", self._rate.bytes_per_s),
                ("alarms_per_s", self._rate.alarms_per_s),
            )
            told: list[Record] = [DeviceEvent(self._source, EVT_THROTTLED, Times(at_ns), params)]
            if screened is not None:
                told += screened.flood(Times(at_ns), since_ns=at_ns, holds=True)
            self._add(told)
            self._timer = loop.call_at(self._due_s, self._look, screened)

    def end(self, screened: Screened | None) -> None:
        """It is over, or nobody listens any more; what was not kept is told."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        times = Times(self._now_ns())
        params: Params = (
            ("held_back", self._held_back),
            ("given_up", self._given_up),
            ("lasted_s", max(0, self._last_ns - self._since_ns) // 1_000_000_000),
        )
        told: list[Record] = [DeviceEvent(self._source, EVT_THROTTLE_ENDED, times, params)]
        if self._given_up:
            told.append(
                Gap(self._source, self._lost_from_ns, self._lost_to_ns, QUEUE_OVERFLOW, recoverable=False, times=times)
            )
        if screened is not None:
            told += screened.flood(times, since_ns=self._since_ns, holds=False)
        self._add(told)
        self._held_back = self._given_up = self._lost_from_ns = 0

    def _look(self, screened: Screened | None) -> None:
        # one timer a flood, not one a message
        loop = asyncio.get_running_loop()
        if loop.time() < self._due_s:
            self._timer = loop.call_at(self._due_s, self._look, screened)
            return
        self.end(screened)
