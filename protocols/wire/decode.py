"""Messages of device_package.proto to records, with every check that keeps a wrong message out of the system.

A `DecodeError` names the field (where), what it may hold (expected) and what it held (found), and is the only exception.
Whether a time or a value is plausible is not judged here: models.screening does.
"""

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message

from protocols import codec
from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError
from protocols.nomenclature import GAP_REASONS
from protocols.record import (
    BEAT_CLASSES,
    Acknowledgement,
    AlarmCondition,
    DeviceEvent,
    Document,
    Evidence,
    Gap,
    Model,
    Observation,
    Params,
    Reason,
    Record,
    Scale,
    SourcePath,
    Span,
    SubjectClaim,
    Times,
    WaveformGroup,
)
from protocols.wire import tables

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_QUALITY = {int(v): k for k, v in tables.QUALITY.items()}
_PRIORITY = {int(v): k for k, v in tables.PRIORITY.items()}
_KIND = {int(v): k for k, v in tables.KIND.items()}
_PRESENCE = {int(v): k for k, v in tables.PRESENCE.items()}
_DTYPE = {int(v): k for k, v in tables.DTYPE.items()}


def parse_record(data: bytes) -> Record:
    """Read a record from its bytes; DecodeError."""
    return decode_record(parse(pb.Record(), data))


def parse(message: M, data: bytes) -> M:
    """Fill a message from bytes; DecodeError when they are too many or no such message."""
    if len(data) > tables.MAX_MESSAGE_BYTES:
        raise DecodeError("message", f"at most {tables.MAX_MESSAGE_BYTES} bytes", f"{len(data)} bytes", data)
    try:
        message.ParseFromString(data)
    except ProtobufError as error:
        raise DecodeError("message", f"a {type(message).__name__}", str(error), data) from error
    return message


def decode_record(message: pb.Record, seen: Times | None = None) -> Record:
    """Read one record from its message; DecodeError. `seen`: times that stand for those of the message and of a strip in it."""
    source, times = _source(message.source), _times(message) if seen is None else seen
    match message.WhichOneof("kind"):
        case "observation":
            return _observation(source, times, message.observation)
        case "waveform":
            return _waveform(source, times, message.waveform)
        case "event":
            code, text = _code("event.code", message.event.code), _text("event.text", message.event.text)
            return DeviceEvent(source, code, times, decode_params("event.params", message.event.params), text)
        case "alarm":
            return _alarm(source, times, message.alarm, seen)
        case "gap":
            return _gap(source, times, message.gap)
        case "subject":
            sealed = message.subject.sealed
            _within("subject.sealed, bytes", len(sealed), 1, tables.MAX_SEALED_BYTES)
            return SubjectClaim(source, sealed, _code("subject.key_id", message.subject.key_id), times)
        case "document":
            return _document(source, times, message.document)
        case _:
            raise DecodeError("kind", "one of the seven kinds of record", "none that this version knows")


@lru_cache(maxsize=1024)  # the same few come in every record
def _source(text: str) -> SourcePath:
    _text("source", text, tables.MAX_SOURCE)
    try:
        return SourcePath.parse(text)
    except ValueError as error:
        raise DecodeError("source", "device/part/part", str(error)) from error


def _times(message: pb.Record) -> Times:
    if not message.HasField("times"):
        raise DecodeError("times", "times with gateway_ns", "none")
    times = message.times
    return Times(
        gateway_ns=times.gateway_ns,
        device_ns=times.device_ns if times.HasField("device_ns") else None,
        corrected_ns=times.corrected_ns if times.HasField("corrected_ns") else None,
        uncertainty_ns=_within("times.uncertainty_ns", times.uncertainty_ns, 0, tables.MAX_INT),
        clock_segment=times.clock_segment,
    )


def _observation(source: SourcePath, times: Times, message: pb.Observation) -> Observation:
    kind = message.WhichOneof("value")
    value: float | str
    if kind == "number":
        value = _finite("observation.number", message.number)
    elif kind == "text":
        value = _text("observation.text", message.text)
    elif kind == "coded":
        value = _code("observation.coded", message.coded)
    else:
        raise DecodeError("observation.value", "number, text or coded", "none")
    comparator = message.comparator
    if comparator and (kind != "number" or comparator not in tables.COMPARATORS):
        allowed = tables.COMPARATORS if kind == "number" else {""}
        raise DecodeError("observation.comparator", f"one of {sorted(allowed)} with {kind}", repr(comparator))
    return Observation(
        source=source,
        code=_code("observation.code", message.code),
        value=value,
        unit=_code("observation.unit", message.unit),
        times=times,
        comparator=comparator,
        coded=kind == "coded",
        site=_text("observation.site", message.site, tables.MAX_CODE),
        averaging_ns=_within("observation.averaging_ns", message.averaging_ns, 0, tables.MAX_INT),
        quality=_enum("observation.quality", _QUALITY, message.quality),
    )


def _waveform(source: SourcePath, times: Times, message: pb.WaveformGroup) -> WaveformGroup:
    leads = len(message.leads)
    _within("waveform.leads, how many", leads, 1, codec.MAX_LEADS)
    _within("waveform.scales, how many", len(message.scales), leads, leads)
    if message.quality:
        _within("waveform.quality, how many", len(message.quality), leads, leads)
    if not 0 < message.fs_hz < 1e6:
        raise DecodeError("waveform.fs_hz", "more than 0 and less than 1e6", str(message.fs_hz))
    _within("waveform.n", message.n, 1, codec.MAX_DECODED_BYTES)
    _within("waveform.first_sample", message.first_sample, -tables.MAX_INT, tables.MAX_INT - message.n)
    dtype = _enum("waveform.dtype", _DTYPE, message.dtype)
    try:
        samples = codec.decode(message.codec, message.samples, leads=leads, n=message.n, dtype=dtype)
    except DecodeError as error:
        raise DecodeError(f"waveform.{error.where}", error.expected, error.found, error.raw) from error
    return WaveformGroup(
        source=source,
        leads=tuple(_code("waveform.leads", lead) for lead in message.leads),
        fs_hz=message.fs_hz,
        first_sample=message.first_sample,
        samples=samples.tobytes(),
        dtype=dtype,
        scales=tuple(_scale(scale) for scale in message.scales),
        times=times,
        quality=tuple(_enum("waveform.quality", _QUALITY, quality) for quality in message.quality),
    )


def _scale(message: pb.Scale) -> Scale:
    gain = _finite("waveform.scales.gain", message.gain)
    if not gain:
        raise DecodeError("waveform.scales.gain", "a number other than 0", "0")
    offset = _finite("waveform.scales.offset", message.offset)
    return Scale(gain, offset, _code("waveform.scales.unit", message.unit))


def _alarm(source: SourcePath, times: Times, message: pb.AlarmCondition, seen: Times | None) -> AlarmCondition:
    _within("alarm.id, bytes", len(message.id), 16, 16)
    return AlarmCondition(
        id=UUID(bytes=message.id),
        source=source,
        code=_code("alarm.code", message.code),
        priority=_enum("alarm.priority", _PRIORITY, message.priority),
        kind=_enum("alarm.kind", _KIND, message.kind),
        presence=_enum("alarm.presence", _PRESENCE, message.presence),
        onset_ns=message.onset_ns,
        detected_ns=message.detected_ns,
        times=times,
        params=decode_params("alarm.params", message.params),
        evidence=_evidence(message.evidence, seen) if message.HasField("evidence") else None,
        acknowledged=_acknowledged(message.acknowledged) if message.HasField("acknowledged") else None,
    )


def _acknowledged(message: pb.Acknowledgement) -> Acknowledgement:
    """Whether the ticket admits is for the hub to say; here it is only text of a bounded length."""
    _within("alarm.acknowledged.ticket, characters", len(message.ticket), 1, tables.MAX_TICKET)
    return Acknowledgement(message.at_ns, message.ticket)


def _evidence(message: pb.Evidence, seen: Times | None) -> Evidence:
    strip = None
    if message.HasField("strip"):
        if message.strip.WhichOneof("kind") != "waveform":
            raise DecodeError("alarm.evidence.strip", "a waveform", str(message.strip.WhichOneof("kind")))
        times = _times(message.strip) if seen is None else seen
        strip = _waveform(_source(message.strip.source), times, message.strip.waveform)
    _within("alarm.evidence.beats, how many", len(message.beats), 0, tables.MAX_BEATS)
    confidence = message.confidence if message.HasField("confidence") else None
    if confidence is not None and not 0 <= confidence <= 1:
        raise DecodeError("alarm.evidence.confidence", "0 to 1", str(confidence))
    return Evidence(
        rule=_code("alarm.evidence.rule", message.rule),
        rule_version=_code("alarm.evidence.rule_version", message.rule_version),
        strip=strip,
        beats=tuple(message.beats),
        deciding_sample=message.deciding_sample if message.HasField("deciding_sample") else None,
        confidence=confidence,
        classes=_classes(message.classes, len(message.beats)),
        spans=_several("spans", message.spans, _span),
        reasons=_several("reasons", message.reasons, _reason),
        models=_several("models", message.models, _model),
    )


def _several(name: str, messages: Collection[M], read: Callable[[M], T]) -> tuple[T, ...]:
    _within(f"alarm.evidence.{name}, how many", len(messages), 0, tables.MAX_GROUNDS)
    return tuple(read(message) for message in messages)


def _classes(letters: str, beats: int) -> str:
    """A class that a later release tells is one that is not known here."""
    if letters and len(letters) != beats:
        raise DecodeError("alarm.evidence.classes", f"a letter for each of {beats} beats, or none", str(len(letters)))
    return "".join(letter if letter in BEAT_CLASSES else "?" for letter in letters)


def _span(message: pb.Span) -> Span:
    _within("alarm.evidence.spans.to_sample", message.to_sample, message.from_sample, tables.MAX_INT)
    _within("alarm.evidence.spans.leads, how many", len(message.leads), 0, tables.MAX_GROUNDS)
    return Span(
        _code("alarm.evidence.spans.kind", message.kind),
        message.from_sample,
        message.to_sample,
        tuple(_code("alarm.evidence.spans.leads", lead) for lead in message.leads),
    )


def _reason(message: pb.Reason) -> Reason:
    value = _finite("alarm.evidence.reasons.value", message.value) if message.HasField("value") else None
    return Reason(
        _code("alarm.evidence.reasons.code", message.code),
        _finite("alarm.evidence.reasons.weight", message.weight),
        value,
        _code("alarm.evidence.reasons.unit", message.unit),
    )


def _model(message: pb.Model) -> Model:
    if not re.fullmatch("[0-9a-f]{0,64}", message.sha256):
        raise DecodeError("alarm.evidence.models.sha256", "up to 64 hexadecimal digits", repr(message.sha256[:64]))
    return Model(
        _code("alarm.evidence.models.name", message.name),
        _code("alarm.evidence.models.version", message.version),
        message.sha256,
    )


def _gap(source: SourcePath, times: Times, message: pb.Gap) -> Gap:
    _within("gap.to_ns", message.to_ns, message.from_ns, tables.MAX_INT)
    if message.reason not in GAP_REASONS:
        raise DecodeError("gap.reason", f"one of {', '.join(sorted(GAP_REASONS))}", repr(message.reason))
    numbered = message.HasField("from_sample")
    if numbered != message.HasField("to_sample"):
        raise DecodeError("gap.from_sample, gap.to_sample", "both or none", "one")
    if numbered:
        _within("gap.to_sample", message.to_sample, message.from_sample, tables.MAX_INT)
    return Gap(
        source=source,
        from_ns=message.from_ns,
        to_ns=message.to_ns,
        reason=message.reason,
        recoverable=message.recoverable,
        times=times,
        from_sample=message.from_sample if numbered else None,
        to_sample=message.to_sample if numbered else None,
    )


def _document(source: SourcePath, times: Times, message: pb.Document) -> Document:
    digest = hashlib.sha256(message.content).hexdigest()
    if message.sha256 != digest:
        raise DecodeError("document.sha256", f"{digest}, that of the content", repr(message.sha256[:64]))
    media_type = _code("document.media_type", message.media_type)
    return Document(source, digest, media_type, message.content, times)


def decode_params(where: str, messages: Iterable[pb.Param]) -> Params:
    """Typed parameters; DecodeError names the one at `where` that is none."""
    params: list[tuple[str, float | int | str | bool]] = []
    for message in messages:
        key = _code(f"{where}.key", message.key)
        match message.WhichOneof("value"):
            case "number":
                params.append((key, _finite(f"{where}.{key}", message.number)))
            case "integer":
                params.append((key, message.integer))
            case "text":
                params.append((key, _text(f"{where}.{key}", message.text)))
            case "flag":
                params.append((key, message.flag))
            case _:
                raise DecodeError(f"{where}.{key}", "number, integer, text or flag", "none")
    _within(f"{where}, how many", len(params), 0, tables.MAX_PARAMS)
    return tuple(params)


def _text(where: str, text: str, longest: int = tables.MAX_TEXT) -> str:
    if not text:
        return text
    if len(text) > longest:
        raise DecodeError(where, f"at most {longest} characters", str(len(text)))
    if "\0" in text:  # PostgreSQL cannot store it
        raise DecodeError(where, "text without NUL", repr(text[:64]))
    return text


def _code(where: str, text: str) -> str:
    if not text:
        raise DecodeError(where, "not empty", "''")
    if len(text) <= tables.MAX_CODE and "\0" not in text:
        return text
    return _text(where, text, tables.MAX_CODE)


def _finite(where: str, value: float) -> float:
    if not math.isfinite(value):
        raise DecodeError(where, "a finite number", str(value))
    return value


def _within(where: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise DecodeError(where, f"{low} to {high}" if low != high else str(low), str(value))
    return value


def _enum(where: str, table: Mapping[int, T], value: int) -> T:
    if value not in table:
        raise DecodeError(where, f"one of {sorted(table)}", str(value))
    return table[value]
