"""What every record of the wire is held against before it becomes a row: times, texts, and the kind that it says it is.

A record that does not hold is a RejectedError, and goes to quarantine.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hub.ingest.quarantined import RejectedError
from protocols import device_package_pb2 as wire
from protocols.errors import DecodeError
from protocols.record import NS_PER_S, AlarmCondition, DeviceEvent, Document, Record, SubjectClaim
from protocols.wire import decode_record

if TYPE_CHECKING:
    from collections.abc import Iterable

# A gateway whose clock is further ahead than this does not know the time; its data would hide everything that is real.
MAX_AHEAD_NS = 24 * 3600 * NS_PER_S
OLDEST_NS = 946_684_800 * NS_PER_S  # 2000-01-01
MAX_TEXT = 4096

T = TypeVar("T", bound=Record)


def is_time(ns: int, now_ns: int) -> bool:
    """Whether a time can be one, by the hub's clock."""
    return OLDEST_NS <= ns <= now_ns + MAX_AHEAD_NS


def moment(ns: int) -> datetime:
    """Nanoseconds since 1970 as a datetime in UTC, to the microsecond."""
    whole, rest = divmod(ns, NS_PER_S)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest // 1000)


def shown(ns: int) -> str:
    """A time as a refusal says it."""
    return moment(ns).isoformat(timespec="seconds")


def checked(what: str, text: str, *, empty: bool = False) -> None:
    """Refuse a text that the database cannot hold or no record should have."""
    if (not text and not empty) or len(text) > MAX_TEXT or "\x00" in text:
        raise RejectedError(what, "length", found=repr(text[:40]), least=0 if empty else 1, most=MAX_TEXT)


def read(record: wire.Record, kind: type[T]) -> T:
    """Read a rare record by `protocols.wire`, whose refusal is the hub's."""
    try:
        found = decode_record(record)
    except DecodeError as error:
        where = error.where.split(",")[0]
        raise RejectedError(where, "form", where=error.where, expected=error.expected, found=error.found) from error
    if not isinstance(found, kind):
        raise RejectedError("kind", "kind", found=type(found).__name__, expected=kind.__name__)
    if any("\x00" in text for text in _texts(found)):
        raise RejectedError("text", "nul")
    return found


def _texts(record: Record) -> "Iterable[str]":
    match record:
        case DeviceEvent() | AlarmCondition():
            yield record.code
            yield from (part for param in record.params for part in param if isinstance(part, str))
            yield record.text if isinstance(record, DeviceEvent) else ""
        case SubjectClaim():
            yield record.key_id
        case Document():
            yield record.media_type
        case _:
            pass
