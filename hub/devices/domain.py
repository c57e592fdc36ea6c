"""A device of the ledger as a value: its state from what is known of it, and the filters and columns of the list. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

LIVE_WITHIN = timedelta(seconds=30)
LOW_BATTERY_PERCENT = 20.0
PAGE_ROWS = 200


class DeviceState(StrEnum):
    """What the ledger says of a device at a glance; the first that applies."""

    WAITING = "waiting"  # its data wait in quarantine
    RETIRED = "retired"
    LIVE = "live"
    SILENT = "silent"
    NEVER = "never"  # placed at a bed, but not heard of yet
    FLOODING = "flooding"  # said beside the others: it sends more than it may


class Door(StrEnum):
    """How a device comes in, as its gateway tells it."""

    SERIAL = "serial"
    BLUETOOTH = "bluetooth"
    MQTT = "mqtt"
    COAP = "coap"
    HTTP = "http"
    FOLDER = "folder"


class Column(StrEnum):
    """A column of the list, in the order in which they stand."""

    NAME = "name"  # what device it is: always there
    STATE = "state"
    WHERE = "where"
    DOOR = "door"
    GATEWAY = "gateway"
    SEEN = "seen"
    SERIAL = "serial"
    FIRMWARE = "firmware"
    BATTERY = "battery"
    FIRST_SEEN = "first_seen"
    ADMITTED = "admitted"


# What is seen until somebody chooses.
USUAL_COLUMNS = (
    Column.NAME, Column.STATE, Column.WHERE, Column.DOOR, Column.SEEN, Column.SERIAL, Column.FIRMWARE, Column.BATTERY,
)  # fmt: skip


def columns_of(asked: Iterable[str]) -> tuple[Column, ...]:
    """The columns that an address asks for, by their names with commas between: each once, in our order; the usual ones for none.

    What this version does not know is passed over: an address from another version still opens.
    """
    wanted = {name.strip() for part in asked for name in part.split(",")} - {""}
    return tuple(column for column in Column if column is Column.NAME or column in wanted) if wanted else USUAL_COLUMNS


def words_of(search: str) -> list[str]:
    """What is searched for, word by word: each has to be found."""
    return search.lower().split()


@dataclass(frozen=True, slots=True)
class Device:
    """A row of the ledger. Empty texts are what the device never said."""

    device_id: int
    name: str
    admission: str
    admitted_at: datetime | None
    admitted_by: str | None
    make: str
    model: str
    serial: str
    firmware: str
    door: str
    battery_percent: float | None
    battery_at: datetime | None
    first_seen: datetime
    last_seen: datetime | None
    refused: int
    gateway: str
    ward: str
    ward_name: str
    bed: str
    flooding_since: datetime | None = None  # its gateway holds it back: it sends more than it may

    def state(self, now: datetime) -> DeviceState:
        """Its state at `now`."""
        if self.admission != "admitted":
            return DeviceState(self.admission)
        if self.last_seen is None:
            return DeviceState.NEVER
        return DeviceState.LIVE if now - self.last_seen <= LIVE_WITHIN else DeviceState.SILENT

    @property
    def battery_is_low(self) -> bool:
        """Whether the battery wants a person."""
        return self.battery_percent is not None and self.battery_percent <= LOW_BATTERY_PERCENT

    @property
    def title(self) -> str:
        """Make and model when it told them, else its name."""
        return " ".join(part for part in (self.make, self.model) if part) or self.name


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters and columns of the list, as they stand in the address. Empty means all."""

    q: str = ""
    state: str = ""
    door: str = ""
    gateway: str = ""
    ward: str = ""
    battery: str = ""  # "low"
    page: int = 1
    columns: tuple[Column, ...] = USUAL_COLUMNS

    @property
    def chosen(self) -> str:
        """The columns as they stand in the address; empty for the usual ones."""
        return "" if self.columns == USUAL_COLUMNS else ",".join(self.columns)

    def query(self, **changed: str | int) -> str:
        """The part of an address behind `?` that stands for these filters with some of them changed."""
        return urlencode(self.pairs(**changed), safe=",")

    def pairs(self, **changed: str | int) -> dict[str, str | int]:
        """The same as names and values, as a form carries them on."""
        values = {name: getattr(self, name) for name in self.__slots__} | {"columns": self.chosen} | changed
        return {k: v for k, v in values.items() if v not in ("", 1)}

    def bare(self) -> "Filters":
        """Every device, in the same columns."""
        return Filters(columns=self.columns)


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing that a device measures."""

    path: str
    code: str
    site: str
    unit: str


@dataclass(frozen=True, slots=True)
class Happening:
    """An entry of a device's life: an event that it sent, or where it was."""

    at: datetime
    code: str
    text: str
    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers above the list: of the whole tenant, not of the filtered rows."""

    total: int
    live: int
    waiting: int
    silent: int
    low_battery: int
    flooding: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the ledger."""

    devices: list[Device]
    counts: Counts
    found: int
    gateways: list[str]
    wards: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Detail:
    """One device with what it measures and its life, newest first."""

    device: Device
    measures: list[Measured]
    life: list[Happening]
    held: int
    notes: list[str] = field(default_factory=list[str])
