"""A held record as a value, groups of like ones, the filters of the list, and its bytes as a person reads them. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlencode

from hub.quarantine.sentences import Said

PAGE_ROWS = 200
_ROW_BYTES = 16


class HeldState(StrEnum):
    """What became of a held record."""

    HELD = "held"
    RELEASING = "releasing"  # somebody released it, the hub is about to store it
    RELEASED = "released"
    DISCARDED = "discarded"


# Reasons that have words of their own; any other is told as "refused", with the detail.
REASONS = frozenset({"device_not_admitted", "undecodable", "time", "origin", "samples", "value", "source", "database"})
# What no second try can store: the bytes are for a person to read.
NEVER_STORED = frozenset({"undecodable"})


@dataclass(frozen=True, slots=True)
class Held:
    """A record in quarantine. `size` is that of its bytes; they are read with the item alone.

    `why` is what `detail` says in English; it says nothing for records of an earlier version. `note`: a release failed, for this reason.
    """

    quarantine_id: int
    state: HeldState
    reason: str
    detail: str
    why: Said
    field: str
    device: str
    source: str
    kind: str
    gateway: str
    size: int
    received_at: datetime
    note: str
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """Held records of one device for one reason: they are decided together."""

    device: str
    reason: str
    gateway: str
    count: int
    first_at: datetime
    last_at: datetime
    newest_id: int
    admission: str  # of the device; "" when the bytes name none

    @property
    def waits_for_admission(self) -> bool:
        """Whether admitting the device releases them."""
        return self.reason == "device_not_admitted" and self.admission != "admitted"


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of the list, as they stand in the address."""

    state: str = HeldState.HELD
    reason: str = ""
    device: str = ""
    gateway: str = ""
    page: int = 1

    def query(self, **changed: str | int) -> str:
        """The part of an address behind `?` for these filters with some of them changed."""
        values = {name: getattr(self, name) for name in self.__slots__} | changed
        return urlencode({k: v for k, v in values.items() if v not in ("", 1, HeldState.HELD)})


@dataclass(frozen=True, slots=True)
class HexRow:
    """A row of bytes as a person reads it."""

    offset: str
    hexadecimal: str
    text: str


def hex_rows(data: bytes) -> list[HexRow]:
    """Bytes in rows of 16: offset, hexadecimal, and the ASCII characters among them."""
    return [
        HexRow(
            f"{at:06x}",
            data[at : at + _ROW_BYTES].hex(" ").ljust(3 * _ROW_BYTES - 1),
            "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in data[at : at + _ROW_BYTES]),
        )
        for at in range(0, len(data), _ROW_BYTES)
    ]
