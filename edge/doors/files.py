"""Reads files that a device recorded some time ago: whose they are, and when it was (decision 0078).

An ECG cart's clock is all that tells when; arrival bounds it. Formats are protocols.ecgfile's, folders firmware_adapters'.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

from firmware_adapters.door import Message
from protocols.ecgfile import aecg
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_CLOCK_WRONG, EVT_DEVICE_SEEN
from protocols.package import Maker, Package, identity_of
from protocols.record import NS_PER_S, DeviceEvent, Record, SourcePath, Times, WaveformGroup

MAX_FILE_BYTES = 768 * 1024  # the file goes along as a record, and a batch holds 1 MiB
TRUSTED_NS = 60 * NS_PER_S  # how far a clock that is not known to be wrong may be off
OLDEST_NS = int(timedelta(days=90) / timedelta(microseconds=1)) * 1000
FILE_TYPES = (aecg.MEDIA_TYPE,)


def file_reader(message: Message) -> Callable[[], Package] | None:
    """What reads this message, when it is a file of a device that the door knows; its call takes tens of milliseconds."""
    if message.media_type not in FILE_TYPES or not message.device:
        return None
    return partial(read_aecg, message.body, message.device, message.at_ns, message.zone)


def read_aecg(data: bytes, device: str, at_ns: int, zone: str = "") -> Package:
    """A cart's file that arrived at gateway time `at_ns`; DecodeError. `zone` (IANA): of times without an offset, UTC unless given."""
    if len(data) > MAX_FILE_BYTES:
        raise DecodeError("file", f"at most {MAX_FILE_BYTES} bytes", f"{len(data)} bytes or more", data)
    read = aecg.decode(data, device, at_ns, zone=_zone(zone))
    maker = Maker()
    records: list[Record | Fault] = []
    for item in read.records:
        if isinstance(item, DeviceEvent) and item.code == EVT_DEVICE_SEEN:
            said = {name: str(value)[:128] for name, value in item.params}
            maker = Maker(**said)
        else:
            records.append(item)
    timed = recorded(SourcePath(device), records, at_ns)
    return Package(device, None, timed, identity_of(device, None, data), maker, recorded=True)


def recorded(device: SourcePath, records: Iterable[Record | Fault], at_ns: int) -> tuple[Record | Fault, ...]:
    """The records at the time of their recording, with an event where the cart's clock cannot be right.

    A recording ended before its file arrived, and not longer ago than files are kept back. Within that the cart is believed, give or
    take TRUSTED_NS. Outside it the time of arrival stands in for its end, and the difference is the uncertainty.
    """
    records = list(records)
    begin_ns, end_ns = _span(records)
    if begin_ns is None or end_ns is None:
        return tuple(records)
    off_ns = end_ns - at_ns
    wrong = not -OLDEST_NS <= off_ns <= TRUSTED_NS
    shift_ns, uncertainty_ns = (-off_ns, abs(off_ns)) if wrong else (0, TRUSTED_NS)

    def placed(times: Times) -> Times:
        own_ns = begin_ns if times.device_ns is None else times.device_ns
        # what is taken on trust may still lie a little ahead; nothing was measured later than it came
        corrected_ns = min(own_ns + shift_ns, at_ns)
        return replace(times, corrected_ns=corrected_ns, uncertainty_ns=uncertainty_ns)

    out = [item if isinstance(item, Fault) else replace(item, times=placed(item.times)) for item in records]
    if wrong:
        params = (("device_ns", end_ns), ("off_ns", off_ns))
        out.append(DeviceEvent(device, EVT_CLOCK_WRONG, Times(at_ns, end_ns, at_ns), params))
    return tuple(out)


def _span(records: Iterable[Record | Fault]) -> tuple[int | None, int | None]:
    """Begin of the first waveform and end of the last, by the cart's clock."""
    groups = [r for r in records if isinstance(r, WaveformGroup) and r.times.device_ns is not None]
    begins = [g.times.device_ns for g in groups if g.times.device_ns is not None]
    ends = [b + round(g.n / g.fs_hz * NS_PER_S) for g, b in zip(groups, begins, strict=True)]
    return min(begins, default=None), max(ends, default=None)


def _zone(name: str) -> tzinfo:
    return ZoneInfo(name) if name else UTC


__all__ = ["FILE_TYPES", "MAX_FILE_BYTES", "file_reader", "read_aecg", "recorded"]
