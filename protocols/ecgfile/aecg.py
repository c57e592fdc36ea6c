"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004, PORT_MT020001): rhythm waveforms, measurements, device and subject.

The file itself goes along as a Document. Representative beats' waveforms and makers' own codes are left in it; whom the file says
it measures is given apart (`Subject`), for the caller to seal.
"""

import hashlib
import json
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from protocols import nomenclature
from protocols.ecgfile.xmltree import attribute, child, children, local, parse, text
from protocols.errors import DecodeError, Fault
from protocols.nomenclature import EVT_DEVICE_SEEN, TERMS, TermKind
from protocols.record import (
    NS_PER_S,
    RECORDED,
    DeviceEvent,
    Document,
    Observation,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

MEDIA_TYPE = "application/vnd.hl7.aecg+xml"
GROUP_S = 10  # longer recordings become several groups, none larger than a message may be
MAX_SAMPLES = 4 * 1024 * 1024  # of all leads together

_TS = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?([+-]\d{4})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,10}")
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_MICROVOLT = {"uV": 1.0, "mV": 1e3, "nV": 1e-3, "V": 1e6}
_UNITS = {  # unit of the file -> (UCUM unit of the term, factor)
    "bpm": ("/min", 1.0), "/min": ("/min", 1.0), "1/min": ("/min", 1.0), "{beats}/min": ("/min", 1.0),
    "ms": ("ms", 1.0), "s": ("ms", 1e3), "deg": ("deg", 1.0),
}  # fmt: skip
_LEAD = "MDC_ECG_LEAD_"
_BEAT = "MDC_ECG_BEAT"

Found: TypeAlias = Record | Fault


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the file says it measures. Identity: to be sealed, never logged."""

    ids: tuple[tuple[str, str], ...]  # (root, extension)
    name: str
    gender: str
    birth_time: str

    def plain(self) -> bytes:
        """What is to be sealed: JSON, UTF-8, keys sorted."""
        parts = {"birth_time": self.birth_time, "gender": self.gender, "ids": self.ids, "name": self.name}
        return json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class AnnotatedEcg:
    """A decoded file. `records`: Document, device, waveforms, measurements, and a Fault for each part that cannot be read."""

    records: tuple[Found, ...]
    subject: Subject | None
    document_id: str
    begin_ns: int  # time of the first sample by the cart's own clock


def decode(data: bytes, device: str, at: int, *, zone: tzinfo = UTC, name: str = "aECG file") -> AnnotatedEcg:
    """Read a file that arrived at gateway time `at` (ns). Times without an offset are in `zone`, the cart's.

    `device_ns` of a record is the cart's time of it; running sample numbers count from 1970 at the file's rate, so that two files
    of one cart never share a number. DecodeError: not an aECG file, or none of its series has a readable lead.
    """
    root = parse(data, name)
    if local(root.tag) != "AnnotatedECG":
        raise DecodeError(name, "the root element AnnotatedECG", local(root.tag), data)
    reader = _Reader(device, at, zone, name)
    digest = hashlib.sha256(data).hexdigest()
    out: list[Found] = [Document(SourcePath(device), digest, MEDIA_TYPE, data, Times(at))]
    begins: list[int] = []
    for n, series in enumerate(children(root, "component", "series"), 1):
        out += reader.device_of(series)
        found = reader.series(series, root, f"{name} series {n}")
        begins += [r.times.device_ns for r in found if isinstance(r, WaveformGroup) and r.times.device_ns is not None]
        out += found
    if not begins:
        reasons = "; ".join(f"{r.where}: expected {r.expected}, found {r.found}" for r in out if isinstance(r, Fault))
        raise DecodeError(name, "a series with a readable lead", reasons or "none", data)
    return AnnotatedEcg(tuple(out), _subject(root), attribute(child(root, "id"), "root"), min(begins))


class _Reader:
    """What all parts of one file share."""

    def __init__(self, device: str, at: int, zone: tzinfo, name: str) -> None:
        self._device, self._at, self._zone, self._name = SourcePath(device), at, zone, name
        self._ecg = SourcePath(device, (RECORDED, "ecg"))
        self._measured = SourcePath(device, (RECORDED, "measurements"))
        self._beats = SourcePath(device, (RECORDED, "measurements", "beat"))

    def _fault(self, error: DecodeError) -> Fault:
        return Fault(str(self._device), error.where, error.expected, error.found, error.raw, self._at)

    def device_of(self, series: "Element") -> list[Found]:
        """Make, model, serial and software of the cart."""
        author = child(series, "author", "seriesAuthor")
        cart = child(author, "manufacturedSeriesDevice")
        given = (
            ("make", text(child(author, "manufacturerOrganization", "name"))),
            ("model", text(child(cart, "manufacturerModelName"))),
            ("serial", text(child(cart, "SerialNumber")) or attribute(child(cart, "id"), "extension")),
            ("firmware", text(child(cart, "softwareName"))),
        )
        params = tuple((key, value) for key, value in given if value)
        return [DeviceEvent(self._device, EVT_DEVICE_SEEN, Times(self._at), params)] if params else []

    def series(self, series: "Element", root: "Element", where: str) -> list[Found]:
        """Waveforms and measurements of one series; a part that cannot be read is a Fault."""
        out: list[Found] = []
        begin = None
        try:
            begin = self._begin(series, root, where)
        except DecodeError as error:
            out.append(self._fault(error))
        for n, sequences in enumerate(children(series, "component", "sequenceSet"), 1):
            out += self._sequence_set(sequences, begin, f"{where} sequence set {n}")
        starts = [r.times.device_ns for r in out if isinstance(r, WaveformGroup)]
        moment = starts[0] if starts else begin
        for holder in (series, *children(series, "derivation", "derivedSeries")):
            for annotation in children(holder, "subjectOf", "annotationSet", "component", "annotation"):
                out += self._annotation(annotation, moment, self._measured, where)
        return out

    def _begin(self, series: "Element", root: "Element", where: str) -> int | None:
        """The effective time of the series, else of the whole file."""
        for holder in (series, root):
            time = child(holder, "effectiveTime")
            for value in (attribute(child(time, part), "value") for part in ("low", "center")):
                if value:
                    return timestamp(value, self._zone, f"{where} effectiveTime")
        return None

    def _sequence_set(self, sequences: "Element", begin: int | None, where: str) -> list[Found]:
        out: list[Found] = []
        rate: tuple[float, int] | None = None
        rows: dict[str, tuple[Scale, NDArray[np.int64]]] = {}
        total = 0
        for sequence in children(sequences, "component", "sequence"):
            code, value = attribute(child(sequence, "code"), "code"), child(sequence, "value")
            try:
                if code.startswith("TIME_"):
                    rate = self._time_base(code, value, begin, where)
                    continue
                lead = _lead(code, where, rows)
                rows[lead] = _samples(value, f"{where} {code}", MAX_SAMPLES - total)
                total += len(rows[lead][1])
            except DecodeError as error:
                out.append(self._fault(error))
        if rate is None or not rows:
            expected = "a sequence TIME_ABSOLUTE or TIME_RELATIVE and a lead that can be read"
            return [*out, self._fault(DecodeError(where, expected, f"{len(rows)} leads"))]
        return out + self._groups(rows, *rate, where)

    def _time_base(self, code: str, value: "Element | None", begin: int | None, where: str) -> tuple[float, int]:
        """Samples a second and the first one's time."""
        kind = attribute(value, "type").rpartition(":")[2]
        increment, head = child(value, "increment"), child(value, "head")
        unit = attribute(increment, "unit") or "s"
        if kind not in ("GLIST_TS", "GLIST_PQ") or unit not in _SECONDS:
            raise DecodeError(
                f"{where} {code}", "GLIST_TS or GLIST_PQ in s, ms or us", f"{kind or 'nothing'} in {unit}"
            )
        step_s = _number(attribute(increment, "value"), f"{where} {code} increment") * _SECONDS[unit]
        if not 1e-6 < step_s <= 1:
            raise DecodeError(f"{where} {code} increment", "more than 1 us and at most 1 s", f"{step_s} s")
        if kind == "GLIST_TS":
            first = timestamp(attribute(head, "value"), self._zone, f"{where} {code} head")
        else:
            if begin is None:
                raise DecodeError(f"{where} {code}", "an effectiveTime that the relative time counts from", "none")
            offset = _number(attribute(head, "value") or "0", f"{where} {code} head")
            first = begin + round(offset * _SECONDS.get(attribute(head, "unit"), 1.0) * NS_PER_S)
        return round(1 / step_s, 6), first

    def _groups(
        self, rows: "dict[str, tuple[Scale, NDArray[np.int64]]]", fs_hz: float, first_ns: int, where: str
    ) -> list[Found]:
        out: list[Found] = []
        lengths = [len(samples) for _, samples in rows.values()]
        n = max(lengths, key=lengths.count)
        for lead in [lead for lead, (_, samples) in rows.items() if len(samples) != n]:
            found = f"{len(rows.pop(lead)[1])}"
            out.append(self._fault(DecodeError(f"{where} {lead}", f"{n} samples as in the other leads", found)))
        samples = np.stack([values for _, values in rows.values()])
        small = samples.min() >= -(2**15) and samples.max() < 2**15
        dtype, raw = ("<i2", samples.astype("<i2")) if small else ("<i4", samples.astype("<i4"))
        leads, scales = tuple(rows), tuple(scale for scale, _ in rows.values())
        number, step = round(first_ns * fs_hz / NS_PER_S), max(1, round(GROUP_S * fs_hz))
        for begin in range(0, n, step):
            times = Times(self._at, first_ns + round(begin / fs_hz * NS_PER_S))
            part = np.ascontiguousarray(raw[:, begin : begin + step]).tobytes()
            out.append(WaveformGroup(self._ecg, leads, fs_hz, number + begin, part, dtype, scales, times))
        return out

    def _annotation(self, annotation: "Element", moment: int | None, source: SourcePath, where: str) -> Iterator[Found]:
        code, value = attribute(child(annotation, "code"), "code"), child(annotation, "value")
        place = f"{where} annotation {code}"
        if code == _BEAT:
            source, moment = self._beats, self._beat_time(annotation, moment, place)
        try:
            found = self._reading(code, value, moment, source, place)
        except DecodeError as error:
            found = self._fault(error)
        if found is not None:
            yield found
        for inner in children(annotation, "component", "annotation"):
            yield from self._annotation(inner, moment, source, where)

    def _beat_time(self, beat: "Element", moment: int | None, place: str) -> int | None:
        """Where the beat's first wave begins."""
        for boundary in beat.iter():
            low = child(boundary, "low") if local(boundary.tag) == "value" else None
            if low is not None and attribute(low, "unit") == "":
                try:
                    return timestamp(attribute(low, "value"), self._zone, place)
                except DecodeError:
                    return moment  # a relative boundary: the beat stays at its series' begin
        return moment

    def _reading(
        self, code: str, value: "Element | None", moment: int | None, source: SourcePath, place: str
    ) -> Observation | None:
        term = TERMS.get(code)
        if term is None or term.kind is not TermKind.METRIC or value is None:
            return None
        kind, times = attribute(value, "type").rpartition(":")[2], Times(self._at, moment)
        if kind == "ST":
            words = text(value)
            return Observation(source, code, words, "1", times) if words else None
        if kind != "PQ":
            raise DecodeError(place, "a value of type PQ or ST", kind or "none")
        given = attribute(value, "unit")
        unit, factor = _UNITS.get(given, ("", 0.0))
        if unit != term.unit:
            raise DecodeError(place, f"a unit of {term.unit}", given or "none")
        number = _number(attribute(value, "value"), place) * factor
        low, high = term.plausible or (float("-inf"), float("inf"))
        # Carts write 0 for an interval or a rate that they have not measured.
        if not low <= number <= high or (number == 0 and not code.startswith("MDC_ECG_ANGLE")):
            raise DecodeError(
                place, f"more than 0 and at most {high:g}" if low == 0 else f"{low:g} to {high:g}", f"{number:g}"
            )
        return Observation(source, code, number, unit, times)


def timestamp(value: str, zone: tzinfo, where: str) -> int:
    """An HL7 point in time, to the minute or finer, in nanoseconds since 1970; without an offset it is in `zone`."""
    match = _TS.fullmatch(value)
    if match is None:
        raise DecodeError(where, "a time as YYYYMMDDhhmm[ss[.s]][+hhmm]", value or "nothing")
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    if match[8]:
        shift = timedelta(hours=int(match[8][1:3]), minutes=int(match[8][3:]))
        zone = timezone(-shift if match[8][0] == "-" else shift) if shift < timedelta(days=1) else zone
    try:
        moment = datetime(year, month, day, hour, minute, int(match[6] or 0), tzinfo=zone)
        seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise DecodeError(where, "a date and time of the calendar", value) from error
    return seconds * NS_PER_S + int((match[7] or "").ljust(9, "0"))


def _lead(code: str, where: str, known: Container[str]) -> str:
    try:
        lead = nomenclature.lead(code.removeprefix(_LEAD))
    except ValueError as error:
        raise DecodeError(
            f"{where} sequence {code or 'without code'}", "a lead such as MDC_ECG_LEAD_II", str(error)
        ) from error
    if lead in known:
        raise DecodeError(f"{where} {code}", "each lead once", "a second one")
    return lead


def _samples(value: "Element | None", where: str, room: int) -> "tuple[Scale, NDArray[np.int64]]":
    kind = attribute(value, "type").rpartition(":")[2]
    if kind != "SLIST_PQ":
        raise DecodeError(where, "a value of type SLIST_PQ", kind or "none")
    origin, scale, digits = child(value, "origin"), child(value, "scale"), child(value, "digits")
    factor = _microvolt(scale, f"{where} scale")
    gain = _number(attribute(scale, "value"), f"{where} scale") * factor
    offset = _number(attribute(origin, "value") or "0", f"{where} origin") * _microvolt(origin, f"{where} origin")
    if gain == 0:
        raise DecodeError(f"{where} scale", "a scale other than 0", "0")
    words = "" if digits is None or digits.text is None else digits.text
    if len(words) > room * 12:  # before it is split: a number takes up to eleven characters and its blank
        raise DecodeError(f"{where} digits", f"at most {MAX_SAMPLES} samples in all leads", f"{len(words)} characters")
    numbers = words.split()
    if not 0 < len(numbers) <= room:
        raise DecodeError(f"{where} digits", f"1 to {MAX_SAMPLES} samples in all leads", f"{len(numbers)}")
    return Scale(gain, offset, "uV"), _whole(numbers, f"{where} digits")


def _whole(numbers: Sequence[str], where: str) -> "NDArray[np.int64]":
    values = np.empty(len(numbers), np.int64)
    for i, number in enumerate(numbers):
        if _WHOLE.fullmatch(number) is None:
            raise DecodeError(f"{where}, sample {i}", "a whole number of at most ten digits", number[:40])
        values[i] = int(number)
    if values.min() < -(2**31) or values.max() >= 2**31:
        raise DecodeError(where, "samples of 32 bit", f"{values.min()} to {values.max()}")
    return values


def _microvolt(element: "Element | None", where: str) -> float:
    unit = attribute(element, "unit") or "uV"
    if unit not in _MICROVOLT:
        raise DecodeError(where, f"a unit of {', '.join(_MICROVOLT)}", unit)
    return _MICROVOLT[unit]


def _number(value: str, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise DecodeError(where, "a number", value or "nothing") from None
    if not np.isfinite(number):
        raise DecodeError(where, "a finite number", value)
    return number


def _subject(root: "Element") -> Subject | None:
    found = child(root, "componentOf", "timepointEvent", "componentOf", "subjectAssignment", "subject", "trialSubject")
    if found is None:
        return None
    person = child(found, "subjectDemographicPerson")
    ids = [(attribute(i, "root"), attribute(i, "extension")) for i in children(found, "id")]
    ids += [("", text(p)) for p in children(person, "PatientID") if text(p)]  # where a maker puts the ward's own number
    return Subject(
        tuple(ids),
        text(child(person, "name")),
        attribute(child(person, "administrativeGenderCode"), "code"),
        attribute(child(person, "birthTime"), "value"),
    )
