"""The ward view as values: which leads a bed has and under which numbers, how a link is told, what a number is. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hub.placement.domain import PlacedDevice, Point
from models.screening.rhythm import RATE_AVERAGE_NS
from protocols.nomenclature import BATTERY_CHARGE, HEART_RATE, TERMS, TermKind
from protocols.record import Quality, is_recorded

# device_package.proto, Quality
QUALITIES: tuple[str, ...] = ("", *(quality.value for quality in Quality))


HELD_MS = 10_000
BATTERY_HELD_MS = 3_600_000


class LinkState(StrEnum):
    """What a page says about the way from a bed's device."""

    LIVE = "live"
    DEVICE_SILENT = "device_silent"
    GATEWAY_LOST = "gateway_lost"
    NEVER = "never"
    RECORDINGS = "recordings"  # there is nothing to be lost: its devices hand over recordings, now and then


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
class Reading:
    """A number with where it comes from. `screened`: a heart rate that the gateway's screening counted in the ECG."""

    number: Numeric
    source: str
    screened: bool = False

    @property
    def device(self) -> str:
        """The device that measured it."""
        return self.source.partition("/")[0]


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
        """Whether it belongs on a live strip."""
        return is_shown(self.leads) and not is_recorded(self.source)


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
    recorders: frozenset[str] = frozenset()  # devices of which there are recordings
    monitors: frozenset[str] = frozenset()  # devices of which there are live samples

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
        names = {device.device_id: device.name for device in here}
        all_own = [s for s in current.values() if s.device_id in names]
        recorders = frozenset(names[s.device_id] for s in all_own if is_recorded(s.source))
        live = [s for s in all_own if not is_recorded(s.source)]
        own = (s for s in live if s.is_shown)
        mine = sorted(own, key=lambda s: (not _is_ecg(s), s.source))
        pairs = [(stream.source, code) for stream in mine for code in stream.leads]
        monitors = frozenset(names[s.device_id] for s in live)
        beds[key] = Bed(point, here, tuple(mine), leads_of(pairs), recorders, monitors)
    return Layout(beds, {device.name: device.point_of_care_id for key in beds for device in at.get(key, ())})


def leads_of(pairs: Iterable[tuple[str, str]], first: int = 0) -> tuple[Lead, ...]:
    """Number the leads of (source, code) from `first` on."""
    return tuple(Lead(i, code, _short(code), source) for i, (source, code) in enumerate(pairs, first))


def bed_link(bed: Bed, links: Mapping[str, Link]) -> Link:
    """The link of a bed: of several devices the worst off, so that nothing that stands still looks live.

    A device of which there are recordings and nothing else has no link that could be lost.
    """
    watched = [d for d in bed.devices if d.name in links or d.name in bed.monitors or d.name not in bed.recorders]
    if bed.devices and not watched:
        return Link(LinkState.RECORDINGS, 0, bed.devices[0].gateway, bed.devices[0].name)
    found = [links.get(d.name) or Link(LinkState.NEVER, 0, d.gateway, d.name) for d in watched]
    order = (LinkState.GATEWAY_LOST, LinkState.DEVICE_SILENT, LinkState.NEVER, LinkState.LIVE)
    return min(found, key=lambda link: order.index(link.state), default=Link(LinkState.NEVER, 0, "", ""))


def preferred(kept: Reading | None, new: Reading) -> Reading:
    """Which of two readings of one code a bed shows; `new` is the later one heard of.

    The later one, but: the heart rate on which alarms are decided is that of the gateway's screening. What a strap or monitor counted
    itself stands in when the screening has told none for `HELD_MS`. A charge is that of the battery that is emptiest.
    """
    if kept is None:
        return new
    age_ms = new.number.at_ms - kept.number.at_ms
    if new.number.code == BATTERY_CHARGE and new.device != kept.device:
        emptier = (new.number.value or 0) <= (kept.number.value or 0)
        return new if emptier or age_ms > BATTERY_HELD_MS else kept
    if kept.screened and not new.screened:
        return new if age_ms > HELD_MS else kept
    if new.screened and not kept.screened:
        return new if age_ms >= -HELD_MS else kept
    return new if age_ms >= 0 else kept


def reading(source: str, number: Numeric, averaging_ns: int) -> Reading:
    """A number as a reading: the screening's rates bear the length of its averaging, by which they are told from a device's own."""
    return Reading(number, source, screened=number.code == HEART_RATE and averaging_ns == RATE_AVERAGE_NS)


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
