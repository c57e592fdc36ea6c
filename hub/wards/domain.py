"""The ward view as values: which leads a bed has and under which numbers, how a link is told, what a number is. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hub.placement.domain import PlacedDevice, Point
from protocols.nomenclature import TERMS, TermKind
from protocols.record import Quality

# device_package.proto, Quality
QUALITIES: tuple[str, ...] = ("", *(quality.value for quality in Quality))


class LinkState(StrEnum):
    """What a page says about the way from a bed's device."""

    LIVE = "live"
    DEVICE_SILENT = "device_silent"
    GATEWAY_LOST = "gateway_lost"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Link:
    """A link's state and since when it has been so (0: never anything)."""

    state: LinkState
    since_ms: int
    gateway: str
    device: str


@dataclass(frozen=True, slots=True)
class Numeric:
    """One number. `value` is None when it cannot be shown as one."""

    code: str
    value: float | None
    unit: str
    at_ms: int
    quality: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A stored stream: what its samples mean. `newest` is the start of its last group."""

    stream_id: int
    device_id: int
    source: str
    leads: tuple[str, ...]
    fs_hz: float
    dtype: str
    gains: tuple[float, ...]
    offsets: tuple[float, ...]
    units: tuple[str, ...]
    newest: datetime | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it belongs on a strip."""
        return is_shown(self.leads)


@dataclass(frozen=True, slots=True)
class Lead:
    """A strip of a bed. `index` is its number in frames."""

    index: int
    code: str
    short: str
    source: str


@dataclass(frozen=True, slots=True)
class Bed:
    """A bed with its devices and leads. `key` (the point of care) is its number in frames."""

    point: Point
    devices: tuple[PlacedDevice, ...]
    streams: tuple[Stream, ...]
    leads: tuple[Lead, ...]

    @property
    def key(self) -> int:
        """The number in frames."""
        return self.point.point_of_care_id

    def indexes(self, source: str, leads: Sequence[str]) -> list[int | None]:
        """The numbers of a source's leads; None for one that this bed does not know yet."""
        known = {(lead.source, lead.code): lead.index for lead in self.leads}
        return [known.get((source, code)) for code in leads]


@dataclass(frozen=True, slots=True)
class Layout:
    """All beds of a tenant, and which device is at which."""

    beds: Mapping[int, Bed]
    by_device: Mapping[str, int]

    def of_source(self, source: str) -> Bed | None:
        """The bed at which a source is now."""
        key = self.by_device.get(source.partition("/")[0])
        return None if key is None else self.beds.get(key)

    def of_ward(self, ward_id: int) -> list[Bed]:
        """The beds of a ward, in their order."""
        return [bed for bed in self.beds.values() if bed.point.ward.ward_id == ward_id]


def lay_out(points: Mapping[int, Point], devices: Iterable[PlacedDevice], streams: Iterable[Stream]) -> Layout:
    """Put devices and their streams to beds. Of a source's streams the one with the newest samples counts."""
    current: dict[str, Stream] = {}
    for stream in streams:
        other = current.get(stream.source)
        if other is None or _age(stream) >= _age(other):
            current[stream.source] = stream
    at: dict[int, list[PlacedDevice]] = {}
    for device in devices:
        at.setdefault(device.point_of_care_id, []).append(device)
    beds: dict[int, Bed] = {}
    for key, point in points.items():
        here = tuple(at.get(key, ()))
        ids = {device.device_id for device in here}
        own = (s for s in current.values() if s.device_id in ids and is_shown(s.leads))
        mine = sorted(own, key=lambda s: (not _is_ecg(s), s.source))
        pairs = [(stream.source, code) for stream in mine for code in stream.leads]
        beds[key] = Bed(point, here, tuple(mine), leads_of(pairs))
    return Layout(beds, {device.name: device.point_of_care_id for key in beds for device in at.get(key, ())})


def leads_of(pairs: Iterable[tuple[str, str]], first: int = 0) -> tuple[Lead, ...]:
    """Number the leads of (source, code) from `first` on."""
    return tuple(Lead(i, code, _short(code), source) for i, (source, code) in enumerate(pairs, first))


def bed_link(bed: Bed, links: Mapping[str, Link]) -> Link:
    """The link of a bed: of several devices the worst off, so that nothing that stands still looks live."""
    found = [links.get(d.name) or Link(LinkState.NEVER, 0, d.gateway, d.name) for d in bed.devices]
    order = (LinkState.GATEWAY_LOST, LinkState.DEVICE_SILENT, LinkState.NEVER, LinkState.LIVE)
    return min(found, key=lambda link: order.index(link.state), default=Link(LinkState.NEVER, 0, "", ""))


def without_hub(link: Link, now_ms: int) -> Link:
    """The link as it is while nothing comes from ingest at all."""
    if link.state is LinkState.LIVE:
        return replace(link, state=LinkState.GATEWAY_LOST, since_ms=now_ms)
    return link


def is_shown(leads: Iterable[str]) -> bool:
    """Whether a waveform belongs on a strip: it measures the patient. Our own terms are the device's (motion, spare inputs)."""
    return any(not code.startswith("WDL_") for code in leads)


def _age(stream: Stream) -> tuple[float, int]:
    return (stream.newest.timestamp() if stream.newest else 0.0, stream.stream_id)


def _is_ecg(stream: Stream) -> bool:
    return any(code in TERMS and TERMS[code].kind is TermKind.LEAD for code in stream.leads)


def _short(code: str) -> str:
    term = TERMS.get(code)
    return term.short or term.en if term else code
