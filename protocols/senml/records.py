"""What the names of a SenML pack mean: `device/path:CODE` and `device/path:CODE:site`, who made the device, and waveforms.

docs/reference/senml.md is the definition for makers. Names of other makers are mapped to ours by a table.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_DEVICE_SEEN, TERMS, TermKind
from protocols.package import (
    MAX_BYTES,
    MAX_NUMBER,
    MAX_SAMPLE_BYTES,
    JsonObject,
    Maker,
    Package,
    check_device,
    check_text,
    identity_of,
)
from protocols.record import DeviceEvent, Observation, Record, Scale, SourcePath, WaveformGroup
from protocols.senml import pack
from protocols.senml.pack import Base, Entry, exact, text
from protocols.units import canonical_record
from protocols.wire.tables import MAX_TEXT

_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")

# IANA "SenML units" (RFC 8428 clause 12.1) and "secondary units" (RFC 8798) in UCUM, as far as they differ; any other is UCUM.
_UCUM = MappingProxyType(
    {
        "/": "1",
        "/100": "%",
        "/1000": "[ppth]",
        "ppm": "[ppm]",
        "%RH": "%",
        "%EL": "%",
        "beat/min": "/min",
        "1/s": "/s",
        "1/min": "/min",
        "l": "L",
        "l/s": "L/s",
        "count": "1",
        "beats": "1",
    }
)

NO_NAMES: Mapping[str, str] = MappingProxyType({})
_MAKER = ("make", "model", "serial", "firmware")
_NUMBER = "package"
_SETTINGS = ("fs", "first", "gain", "offset", "bits")

_Reader: TypeAlias = Callable[[bytes], Iterator[tuple[str, JsonObject]]]


@dataclass(slots=True)
class _Wave:
    """What a path says about its samples."""

    settings: dict[str, Entry] = field(default_factory=dict[str, Entry])
    leads: list[tuple[str, Entry]] = field(default_factory=list[tuple[str, Entry]])


def read_cbor(data: bytes, at_ns: int, names: Mapping[str, str] = NO_NAMES) -> Package:
    """Read a pack in CBOR that arrived at gateway time `at_ns`; `names` maps other makers' full names to ours. DecodeError."""
    return _read(pack.read_cbor, data, at_ns, names)


def read_json(data: bytes, at_ns: int, names: Mapping[str, str] = NO_NAMES) -> Package:
    """The same in JSON."""
    return _read(pack.read_json, data, at_ns, names)


class _Making:
    """The package while its entries come in."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns
        self.device = ""
        self.number: int | None = None
        self.about: dict[str, str] = {}
        self.waves: dict[str, _Wave] = {}
        self.records: list[Record | Fault] = []
        self.absolute = True
        self.next_within_s: float | None = None

    def name(self, where: str, name: str) -> str:
        """What stands behind the device's name; DecodeError when it is another device's or has none."""
        device, _, rest = name.partition("/")
        if not rest:
            raise DecodeError(f"{where}, n", "a name device/path:CODE, or one that the door's names map", repr(name))
        if self.device not in ("", device):
            raise DecodeError(f"{where}, n", f"a name of device {self.device!r}", repr(name))
        self.device = check_device(device)
        return rest

    def take(self, rest: str, entry: Entry) -> None:
        """One entry; DecodeError."""
        if entry.next_within_s is not None:
            self.next_within_s = min(entry.next_within_s, self.next_within_s or entry.next_within_s)
        if rest == _NUMBER:
            self.number = _number(entry)
        elif rest in _MAKER:
            self.about[rest] = check_text(f"{entry.where}, vs", _string(entry))
        else:
            self.absolute = self.absolute and entry.absolute
            record = self._record(rest, entry)
            if record is not None:
                self.records.append(_canonical(entry.where, record))

    def fault(self, error: DecodeError, raw: bytes) -> None:
        """An entry that could not be read."""
        self.records.append(Fault(self.device, error.where, error.expected, error.found, raw, self.at_ns))

    def finish(self, data: bytes) -> Package:
        """All entries are in: the waveforms are put together."""
        room = MAX_SAMPLE_BYTES
        for path, wave in self.waves.items():
            try:
                group = _group(self.device, path, wave, room)
                room -= len(group.samples)
                self.records.append(_canonical(path, group))
            except DecodeError as error:
                self.fault(error, data)
        known = self.absolute or self.number is not None
        identity = identity_of(self.device, self.number, data) if known else None
        return Package(
            self.device,
            self.number,
            tuple(self.records),
            identity,
            Maker(**self.about) if self.about else None,
            next_within_s=self.next_within_s or 0.0,
        )

    def _record(self, rest: str, entry: Entry) -> Record | None:
        """A record, or None for a part of a waveform."""
        path, code, site = _split(rest)
        if code in _SETTINGS and path:
            self.waves.setdefault(path, _Wave()).settings[code] = entry
            return None
        if not _CODE.fullmatch(code):
            raise DecodeError(f"{entry.where}, n", "a name that ends in a code, as :MDC_TEMP_BODY", repr(entry.name))
        if "vd" in entry.fields:
            self.waves.setdefault(path, _Wave()).leads.append((code, entry))
            return None
        source = _source(entry.where, self.device, path)
        term = TERMS.get(code)
        if term is not None and term.kind is TermKind.EVENT:
            return _event(source, code, entry)
        if "vs" in entry.fields:
            said = _string(entry)
            return Observation(
                source, code, said, entry.unit or "1", entry.times, coded=bool(_CODE.fullmatch(said)), site=site
            )
        return Observation(source, code, _value(entry), _ucum(entry, code), entry.times, site=site)


def _read(reader: _Reader, data: bytes, at_ns: int, names: Mapping[str, str]) -> Package:
    base, making = Base(at_ns), _Making(at_ns)
    try:
        for where, fields in reader(data):
            named = base.take(where, fields)
            if not named.has_value:
                continue
            rest = making.name(where, names.get(named.name, named.name))
            try:
                making.take(rest, base.resolve(named))
            except DecodeError as error:
                making.fault(error, named.raw)
    except DecodeError as error:
        raise DecodeError(error.where, error.expected, error.found, data) from error
    if not making.device:
        raise DecodeError("message", "at least one record with a name and a value", "none", data)
    return making.finish(data)


def _split(rest: str) -> tuple[str, str, str]:
    """`path:CODE:site` in its parts."""
    head, _, last = rest.rpartition(":")
    path, colon, middle = head.rpartition(":")
    if colon:
        return path, middle, last
    if _CODE.fullmatch(head):
        return "", head, last
    return head, last, ""


def _event(source: SourcePath, code: str, entry: Entry) -> DeviceEvent:
    if code == EVT_DEVICE_SEEN:
        raise DecodeError(f"{entry.where}, n", "what the device reports; its maker stands in make, model, serial", code)
    params = () if entry.value is None else (("value", entry.value),)
    return DeviceEvent(source, code, entry.times, params, _string(entry) if "vs" in entry.fields else "")


def _group(device: str, path: str, wave: _Wave, room: int) -> WaveformGroup:
    if not wave.leads:
        raise DecodeError(path, "samples (vd) of at least one lead beside fs, first and gain", "none")
    for needed in ("fs", "first", "gain"):
        if needed not in wave.settings:
            raise DecodeError(f"{path}:{needed}", "a record with a number (v)", "none")
    codes = tuple(code for code, _ in wave.leads)
    if len(set(codes)) != len(codes):
        raise DecodeError(f"{path}, vd", "each lead once", ", ".join(codes))
    samples = [_bytes(entry) for _, entry in wave.leads]
    times = {entry.times for _, entry in wave.leads}
    if len({len(s) for s in samples}) != 1 or len(times) != 1 or not samples[0]:
        lengths = ", ".join(str(len(s)) for s in samples)
        raise DecodeError(
            f"{path}, vd", "as many bytes and one time for each lead", f"{lengths} bytes, {len(times)} times"
        )
    if sum(len(s) for s in samples) > room:
        raise DecodeError(f"{path}, vd", f"at most {MAX_SAMPLE_BYTES} bytes a message", "more")
    bits = _value(wave.settings["bits"]) if "bits" in wave.settings else 16.0
    if bits not in (16.0, 32.0):
        raise DecodeError(f"{path}:bits", "16 or 32", str(bits))
    gain, offset = wave.settings["gain"], wave.settings.get("offset")
    scale = Scale(_value(gain), 0.0 if offset is None else _value(offset), _ucum(gain, codes[0]))
    if not scale.gain:
        raise DecodeError(f"{path}:gain", "a number other than 0", "0")
    try:
        return WaveformGroup(
            source=_source(path, device, path),
            leads=codes,
            fs_hz=_value(wave.settings["fs"]),
            first_sample=_number(wave.settings["first"]),
            samples=b"".join(samples),
            dtype=f"<i{int(bits) // 8}",
            scales=(scale,) * len(codes),
            times=times.pop(),
        )
    except DecodeError:
        raise
    except ValueError as error:
        raise DecodeError(f"{path}, vd", "whole samples at a rate that can be", str(error)) from error


def _canonical(where: str, record: Record) -> Record:
    try:
        return canonical_record(record)
    except DecodeError as error:
        raise DecodeError(f"{where}, {error.where}", error.expected, error.found) from error


def _ucum(entry: Entry, code: str) -> str:
    if entry.unit is None:
        term = TERMS.get(code)
        if term is None or term.unit != "1":
            raise DecodeError(f"{entry.where}, u", f"the unit of {code}", "neither u nor bu")
        return "1"
    return _UCUM.get(entry.unit, entry.unit)


def _source(where: str, device: str, path: str) -> SourcePath:
    try:
        return SourcePath(device, tuple(path.split("/")) if path else ())
    except ValueError as error:
        raise DecodeError(f"{where}, n", "device/part/part:CODE", str(error)) from error


def _number(entry: Entry) -> int:
    value = exact(f"{entry.where}, v", entry.fields.get("v"))
    if value.denominator != 1 or not 0 <= value <= MAX_NUMBER:
        raise DecodeError(f"{entry.where}, v", f"a whole number from 0 to {MAX_NUMBER}", str(entry.fields.get("v")))
    return int(value)


def _value(entry: Entry) -> float:
    if entry.value is None:
        raise DecodeError(entry.where, "a number (v)", "none")
    return entry.value


def _string(entry: Entry) -> str:
    return text(f"{entry.where}, vs", entry.fields.get("vs"), MAX_TEXT)


def _bytes(entry: Entry) -> bytes:
    value = entry.fields["vd"]
    if isinstance(value, bytes):
        return value
    encoded = text(f"{entry.where}, vd", value, 2 * MAX_BYTES)
    try:  # RFC 8428 clause 4.3: base64url without padding
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"{entry.where}, vd", "base64url", str(error)) from error
