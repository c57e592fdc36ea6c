"""Watches whether each device's data still arrive, so that a page shows a lost link within 3 s (IEC 60601-1-8, 6.11.2.2.1).

Also which gateways still have to send what their newest data overtook.
Pure: times come in as nanoseconds of a steady clock. Leaves the sending to the composition root.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

SILENT_NS = 2_000_000_000
# A device that measures once a minute is not silent between two readings.
INTERVALS = 3
_SMOOTHING = 0.2


class LinkState(StrEnum):
    """What a page can say about a device's link."""

    LIVE = "live"
    DEVICE_SILENT = "device_silent"
    GATEWAY_LOST = "gateway_lost"


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A device's link has another state. `since_ns`: when that began, on the steady clock."""

    tenant_id: int
    gateway: str
    device: str
    state: LinkState
    since_ns: int


@dataclass(frozen=True, slots=True)
class BacklogChange:
    """`waits`: waveforms are still to come that are older than what was stored of this gateway."""

    tenant_id: int
    gateway: str
    waits: bool


@dataclass(slots=True)
class _Device:
    gateway_key: Hashable
    last_ns: int
    interval_ns: float = 0.0
    state: LinkState = LinkState.LIVE
    since_ns: int = 0


@dataclass(slots=True)
class _Gateway:
    tenant_id: int
    name: str
    streams: int = 0
    waits: bool = False
    told: bool | None = None  # what listeners know of `waits`

    def tell(self) -> BacklogChange:
        self.told = self.waits
        return BacklogChange(self.tenant_id, self.name, self.waits)


@dataclass(slots=True)
class LinkWatch:
    """The links of all gateways that this process serves. A gateway's key is not its id, which another may get."""

    _gateways: dict[Hashable, _Gateway] = field(default_factory=dict[Hashable, _Gateway])
    _devices: dict[tuple[int, str], _Device] = field(default_factory=dict[tuple[int, str], _Device])

    def connected(self, gateway_key: Hashable, tenant_id: int, name: str) -> None:
        """A stream of the gateway is up."""
        gateway = self._gateways.setdefault(gateway_key, _Gateway(tenant_id, name))
        gateway.streams += 1

    def disconnected(self, gateway_key: Hashable) -> None:
        """A stream of the gateway is down."""
        gateway = self._gateways.get(gateway_key)
        if gateway is not None:
            gateway.streams = max(0, gateway.streams - 1)

    def arrived(self, gateway_key: Hashable, devices: Iterable[str], now_ns: int) -> list[LinkChange]:
        """Live data of devices arrived. What they say of the time does not count: a gateway's clock may be set back. A backlog is not told here."""
        gateway = self._gateways.get(gateway_key)
        if gateway is None:
            return []
        changes: list[LinkChange] = []
        for name in devices:
            key = (gateway.tenant_id, name)
            device = self._devices.get(key)
            if device is None:
                self._devices[key] = _Device(gateway_key, now_ns, since_ns=now_ns)
                changes.append(LinkChange(gateway.tenant_id, gateway.name, name, LinkState.LIVE, now_ns))
                continue
            if device.state is LinkState.LIVE:
                device.interval_ns += _SMOOTHING * (now_ns - device.last_ns - device.interval_ns)
            device.last_ns, device.gateway_key = now_ns, gateway_key
            if device.state is not LinkState.LIVE:
                device.state, device.since_ns = LinkState.LIVE, now_ns
                changes.append(LinkChange(gateway.tenant_id, gateway.name, name, LinkState.LIVE, now_ns))
        return changes

    def backlog(self, gateway_key: Hashable, *, waits: bool) -> list[BacklogChange]:
        """Waveforms were stored; `waits`: older ones were not. That it begins is told at once, that it ended by `settled`."""
        gateway = self._gateways.get(gateway_key)
        if gateway is None:
            return []
        gateway.waits = waits
        return [gateway.tell()] if waits and not gateway.told else []

    def settled(self) -> list[BacklogChange]:
        """Find gateways that have sent everything; call it with `look`, so that pieces in the wrong order are one backlog."""
        return [
            gateway.tell() for gateway in self._gateways.values() if gateway.told is not False and not gateway.waits
        ]

    def look(self, now_ns: int) -> list[LinkChange]:
        """Find links that fell silent; call it four times a second."""
        changes: list[LinkChange] = []
        for (tenant_id, name), device in self._devices.items():
            silent_ns = now_ns - device.last_ns
            if silent_ns < max(SILENT_NS, INTERVALS * device.interval_ns):
                continue
            gateway = self._gateways[device.gateway_key]
            # A gateway that fell off without a word is silent first; keepalive then ends its streams.
            state = LinkState.DEVICE_SILENT if gateway.streams else LinkState.GATEWAY_LOST
            if state is not device.state:
                device.state, device.since_ns = state, device.last_ns
                changes.append(LinkChange(tenant_id, gateway.name, name, state, device.last_ns))
        return changes

    def backlogs(self) -> Iterator[BacklogChange]:
        """Give what was told of every gateway's backlog, for a new listener."""
        for gateway in self._gateways.values():
            if gateway.told is not None:
                yield BacklogChange(gateway.tenant_id, gateway.name, gateway.told)

    def present(self) -> Iterator[LinkChange]:
        """Give every link's present state, for a new listener."""
        for (tenant_id, name), device in self._devices.items():
            yield LinkChange(tenant_id, self._gateways[device.gateway_key].name, name, device.state, device.since_ns)
