"""Records to the messages of `device_package.proto` and back: the only place that knows both.

Leaves batches, positions and connections to `protocols.link`. Whatever comes from outside is checked here; a message that is no
record raises a DecodeError that names its field.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from google.protobuf.message import DecodeError as ProtobufError

from protocols import codec
from protocols import device_package_pb2 as pb
from protocols import uplink_pb2 as up
from protocols.errors import DecodeError
from protocols.nomenclature import GAP_REASONS
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Document,
    Evidence,
    Gap,
    Observation,
    Params,
    Presence,
    Priority,
    Quality,
    Record,
    Scale,
    SourcePath,
    SubjectClaim,
    Times,
    WaveformGroup,
)

MAX_MESSAGE_BYTES = 1 << 20
PACKAGE_VERSION = 1
MAX_TEXT = 4096
_MAX_SAMPLE = 2**62

_DTYPE_OUT = {"<i2": pb.DTYPE_INT16, "<i4": pb.DTYPE_INT32}
_DTYPE_IN = {v: k for k, v in _DTYPE_OUT.items()}
_QUALITY_OUT = {
    Quality.GOOD: pb.QUALITY_GOOD,
    Quality.QUESTIONABLE: pb.QUALITY_QUESTIONABLE,
    Quality.LEAD_OFF: pb.QUALITY_LEAD_OFF,
    Quality.FLAT: pb.QUALITY_FLAT,
    Quality.SATURATED: pb.QUALITY_SATURATED,
    Quality.NOISE: pb.QUALITY_NOISE,
    Quality.UNUSABLE: pb.QUALITY_UNUSABLE,
}
_QUALITY_IN = {v: k for k, v in _QUALITY_OUT.items()}
_PRIORITY_OUT = {
    Priority.HIGH: pb.PRIORITY_HIGH,
    Priority.MEDIUM: pb.PRIORITY_MEDIUM,
    Priority.LOW: pb.PRIORITY_LOW,
}
_PRIORITY_IN = {v: k for k, v in _PRIORITY_OUT.items()}
_KIND_OUT = {
    AlarmKind.PHYSIOLOGICAL: pb.ALARM_KIND_PHYSIOLOGICAL,
    AlarmKind.TECHNICAL: pb.ALARM_KIND_TECHNICAL,
}
_KIND_IN = {v: k for k, v in _KIND_OUT.items()}
_PRESENCE_OUT = {
    Presence.PRESENT: pb.PRESENCE_PRESENT,
    Presence.LATCHED: pb.PRESENCE_LATCHED,
    Presence.ENDED: pb.PRESENCE_ENDED,
}
_PRESENCE_IN = {v: k for k, v in _PRESENCE_OUT.items()}
_COMPARATORS = frozenset({"", "<", "<=", ">=", ">"})


def lane_of(record: Record) -> up.Lane:
    """The lane in which a record travels."""
    if isinstance(record, AlarmCondition):
        return up.LANE_ALARM
    if isinstance(record, Observation):
        return up.LANE_NUMERIC
    if isinstance(record, WaveformGroup):
        return up.LANE_WAVEFORM
    return up.LANE_EVENT


def encode_record(record: Record) -> pb.Record:
    """The message of a record."""
    message = pb.Record(source=str(record.source), times=_encode_times(record.times))
    match record:
        case Observation():
            message.observation.CopyFrom(_encode_observation(record))
        case WaveformGroup():
            message.waveform.CopyFrom(_encode_waveform(record))
        case DeviceEvent():
            message.event.CopyFrom(
                pb.DeviceEvent(code=record.code, params=_encode_params(record.params), text=record.text)
            )
        case AlarmCondition():
            message.alarm.CopyFrom(_encode_alarm(record))
        case Gap():
            message.gap.CopyFrom(_encode_gap(record))
        case SubjectClaim():
            message.subject.CopyFrom(pb.SubjectClaim(sealed=record.sealed, key_id=record.key_id))
        case Document():
            message.document.CopyFrom(
                pb.Document(sha256=record.sha256, media_type=record.media_type, content=record.content)
            )
    return message


def decode_record(message: pb.Record) -> Record:
    """The record of a message; DecodeError names the field that cannot be."""
    source = _source(message.source)
    times = _decode_times(message)
    kind = message.WhichOneof("kind")
    if kind is None:
        raise DecodeError("record.kind", "one of the seven kinds", "none")
    return _DECODERS[kind](message, source, times)


def encode_batch(lane: up.Lane, n: int, closed_ns: int, records: Iterable[Record]) -> bytes:
    """A batch as it lies in the spool and travels: deterministic, so that its bytes can be compared."""
    batch = up.Batch(lane=lane, n=n, closed_ns=closed_ns)
    for record in records:
        batch.records.add().record.CopyFrom(encode_record(record))
    return batch.SerializeToString(deterministic=True)


def decode_batch(data: bytes) -> up.Batch:
    """The batch of its bytes; DecodeError when they are none. Its records are checked one by one by `decode_record`."""
    batch = up.Batch()
    _parse(batch, data, "batch")
    if batch.lane == up.LANE_UNSPECIFIED or batch.lane not in up.Lane.values() or not batch.n:
        raise DecodeError("batch", "a lane and a number from 1 on", f"lane {batch.lane}, n {batch.n}", data)
    return batch


def decode_package(data: bytes) -> tuple[pb.DevicePackage, list[Record | DecodeError]]:
    """A device's package and its records; a record that cannot be read stands as its DecodeError among the others."""
    package = pb.DevicePackage()
    _parse(package, data, "device package")
    if package.version != PACKAGE_VERSION:
        raise DecodeError("package.version", str(PACKAGE_VERSION), str(package.version), data)
    device = _source(package.device, "package.device").device
    out: list[Record | DecodeError] = []
    for index, message in enumerate(package.records):
        try:
            record = decode_record(message)
            if record.source.device != device:
                raise DecodeError("source", f"a source of {device}", str(record.source))  # noqa: TRY301
        except DecodeError as error:
            out.append(DecodeError(f"records[{index}].{error.where}", error.expected, error.found, error.raw))
        else:
            out.append(record)
    return package, out


def _parse(message: pb.DevicePackage | up.Batch, data: bytes, where: str) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise DecodeError(where, f"at most {MAX_MESSAGE_BYTES} bytes", f"{len(data)} bytes")
    try:
        message.ParseFromString(data)
    except ProtobufError as error:
        raise DecodeError(where, "a protobuf message", str(error) or "bytes that are none", data) from error


def _encode_times(times: Times) -> pb.Times:
    return pb.Times(
        gateway_ns=times.gateway_ns,
        device_ns=times.device_ns,
        corrected_ns=times.corrected_ns,
        uncertainty_ns=times.uncertainty_ns,
        clock_segment=times.clock_segment,
    )


def _decode_times(message: pb.Record) -> Times:
    if not message.HasField("times"):
        raise DecodeError("times", "the gateway's time", "none")
    times = message.times
    return Times(
        gateway_ns=times.gateway_ns,
        device_ns=times.device_ns if times.HasField("device_ns") else None,
        corrected_ns=times.corrected_ns if times.HasField("corrected_ns") else None,
        uncertainty_ns=times.uncertainty_ns,
        clock_segment=times.clock_segment,
    )


def _encode_observation(record: Observation) -> pb.Observation:
    message = pb.Observation(
        code=record.code,
        comparator=record.comparator,
        unit=record.unit,
        site=record.site,
        averaging_ns=record.averaging_ns,
        quality=_QUALITY_OUT[record.quality],
    )
    if not isinstance(record.value, str):
        message.number = record.value
    elif record.coded:
        message.coded = record.value
    else:
        message.text = record.value
    return message


def _decode_observation(message: pb.Observation, source: SourcePath, times: Times) -> Observation:
    if message.comparator not in _COMPARATORS:
        raise DecodeError("observation.comparator", "one of '', <, <=, >=, >", repr(message.comparator))
    match message.WhichOneof("value"):
        case "number":
            value: float | str = _finite("observation.number", message.number)
        case "text":
            value = _text("observation.text", message.text, empty=True)
        case "coded":
            value = _text("observation.coded", message.coded)
        case _:
            raise DecodeError("observation.value", "a number, a text or a code", "none")
    return Observation(
        source=source,
        code=_text("observation.code", message.code),
        value=value,
        unit=_text("observation.unit", message.unit),
        times=times,
        comparator=message.comparator,
        coded=message.WhichOneof("value") == "coded",
        site=_text("observation.site", message.site, empty=True),
        averaging_ns=message.averaging_ns,
        quality=_quality("observation.quality", message.quality),
    )


def _encode_waveform(record: WaveformGroup) -> pb.WaveformGroup:
    number, data = codec.encode(record.samples, leads=len(record.leads), n=record.n, dtype=record.dtype)
    return pb.WaveformGroup(
        leads=record.leads,
        fs_hz=record.fs_hz,
        first_sample=record.first_sample,
        dtype=_DTYPE_OUT[record.dtype],
        codec=number,
        n=record.n,
        samples=data,
        scales=[pb.Scale(gain=s.gain, offset=s.offset, unit=s.unit) for s in record.scales],
        quality=[_QUALITY_OUT[q] for q in record.quality],
    )


def _decode_waveform(message: pb.WaveformGroup, source: SourcePath, times: Times) -> WaveformGroup:
    if message.dtype not in _DTYPE_IN:
        raise DecodeError("waveform.dtype", "int16 or int32", str(message.dtype))
    if not -_MAX_SAMPLE <= message.first_sample <= _MAX_SAMPLE:
        raise DecodeError("waveform.first_sample", "a number below 2^62", str(message.first_sample))
    dtype = _DTYPE_IN[message.dtype]
    samples = codec.decode(message.codec, message.samples, leads=len(message.leads), n=message.n, dtype=dtype)
    try:
        return WaveformGroup(
            source=source,
            leads=tuple(_text("waveform.leads", name) for name in message.leads),
            fs_hz=message.fs_hz,
            first_sample=message.first_sample,
            samples=samples,
            dtype=dtype,
            scales=tuple(
                Scale(
                    _finite("waveform.scales.gain", s.gain),
                    _finite("waveform.scales.offset", s.offset),
                    _text("waveform.scales.unit", s.unit),
                )
                for s in message.scales
            ),
            times=times,
            quality=tuple(_quality("waveform.quality", q) for q in message.quality),
        )
    except DecodeError:
        raise
    except ValueError as error:
        raise DecodeError("waveform", "leads, scales, rate and samples that fit each other", str(error)) from error


def _encode_alarm(record: AlarmCondition) -> pb.AlarmCondition:
    message = pb.AlarmCondition(
        id=record.id.bytes,
        code=record.code,
        priority=_PRIORITY_OUT[record.priority],
        kind=_KIND_OUT[record.kind],
        presence=_PRESENCE_OUT[record.presence],
        onset_ns=record.onset_ns,
        detected_ns=record.detected_ns,
        params=_encode_params(record.params),
    )
    evidence = record.evidence
    if evidence is not None:
        message.evidence.CopyFrom(
            pb.Evidence(
                rule=evidence.rule,
                rule_version=evidence.rule_version,
                beats=evidence.beats,
                deciding_sample=evidence.deciding_sample,
                confidence=evidence.confidence,
            )
        )
        if evidence.strip is not None:
            message.evidence.strip.CopyFrom(encode_record(evidence.strip))
    return message


def _decode_alarm(message: pb.AlarmCondition, source: SourcePath, times: Times) -> AlarmCondition:
    if len(message.id) != 16:
        raise DecodeError("alarm.id", "16 bytes", f"{len(message.id)} bytes")
    for name, value, known in (
        ("priority", message.priority, _PRIORITY_IN),
        ("kind", message.kind, _KIND_IN),
        ("presence", message.presence, _PRESENCE_IN),
    ):
        if value not in known:
            raise DecodeError(f"alarm.{name}", "a known value", str(value))
    return AlarmCondition(
        id=UUID(bytes=message.id),
        source=source,
        code=_text("alarm.code", message.code),
        priority=_PRIORITY_IN[message.priority],
        kind=_KIND_IN[message.kind],
        presence=_PRESENCE_IN[message.presence],
        onset_ns=message.onset_ns,
        detected_ns=message.detected_ns,
        times=times,
        params=_decode_params(message.params),
        evidence=decode_evidence(message.evidence) if message.HasField("evidence") else None,
    )


def decode_evidence(message: pb.Evidence) -> Evidence:
    """What decided an alarm; DecodeError when its strip is no waveform."""
    strip: Record | None = None
    if message.HasField("strip"):
        # looked at before it is decoded: a strip that holds an alarm that holds a strip ... would have no end
        if message.strip.WhichOneof("kind") != "waveform":
            raise DecodeError("evidence.strip", "a waveform group", str(message.strip.WhichOneof("kind")))
        strip = _decode_waveform(message.strip.waveform, _source(message.strip.source), _decode_times(message.strip))
    return Evidence(
        rule=_text("evidence.rule", message.rule),
        rule_version=_text("evidence.rule_version", message.rule_version),
        strip=strip,
        beats=tuple(message.beats),
        deciding_sample=message.deciding_sample if message.HasField("deciding_sample") else None,
        confidence=_finite("evidence.confidence", message.confidence) if message.HasField("confidence") else None,
    )


def _encode_gap(record: Gap) -> pb.Gap:
    return pb.Gap(
        from_ns=record.from_ns,
        to_ns=record.to_ns,
        reason=record.reason,
        recoverable=record.recoverable,
        from_sample=record.from_sample,
        to_sample=record.to_sample,
    )


def _decode_gap(message: pb.Gap, source: SourcePath, times: Times) -> Gap:
    if message.reason not in GAP_REASONS:
        raise DecodeError("gap.reason", f"one of {', '.join(sorted(GAP_REASONS))}", repr(message.reason[:MAX_TEXT]))
    if message.to_ns < message.from_ns:
        raise DecodeError("gap.to_ns", "not before from_ns", f"{message.from_ns} to {message.to_ns}")
    return Gap(
        source=source,
        from_ns=message.from_ns,
        to_ns=message.to_ns,
        reason=message.reason,
        recoverable=message.recoverable,
        times=times,
        from_sample=message.from_sample if message.HasField("from_sample") else None,
        to_sample=message.to_sample if message.HasField("to_sample") else None,
    )


def _decode_document(message: pb.Document, source: SourcePath, times: Times) -> Document:
    digest = message.sha256
    if len(digest) != 64 or any(c not in "0123456789abcdef" for c in digest):
        raise DecodeError("document.sha256", "64 hexadecimal digits", repr(digest[:80]))
    return Document(source, digest, _text("document.media_type", message.media_type), message.content, times)


def _encode_params(params: Params) -> list[pb.Param]:
    out: list[pb.Param] = []
    for key, value in params:
        if isinstance(value, bool):
            out.append(pb.Param(key=key, flag=value))
        elif isinstance(value, int):
            out.append(pb.Param(key=key, integer=value))
        elif isinstance(value, float):
            out.append(pb.Param(key=key, number=value))
        else:
            out.append(pb.Param(key=key, text=value))
    return out


def _decode_params(params: Iterable[pb.Param]) -> Params:
    return tuple((_text("params.key", p.key), _param_value(p)) for p in params)


def _param_value(param: pb.Param) -> float | int | str | bool:
    match param.WhichOneof("value"):
        case "number":
            return _finite(f"params.{param.key}", param.number)
        case "integer":
            return param.integer
        case "text":
            return _text(f"params.{param.key}", param.text, empty=True)
        case "flag":
            return param.flag
        case _:
            raise DecodeError(f"params.{param.key}", "a number, an integer, a text or a flag", "none")


def _source(text: str, where: str = "source") -> SourcePath:
    if len(text) > MAX_TEXT:
        raise DecodeError(where, f"at most {MAX_TEXT} characters", f"{len(text)}")
    try:
        return SourcePath.parse(text)
    except ValueError as error:
        raise DecodeError(where, "device/part/part without white space", repr(text)) from error


def _text(where: str, text: str, *, empty: bool = False) -> str:
    if len(text) > MAX_TEXT or "\0" in text or not (text or empty):
        raise DecodeError(
            where, f"{'0' if empty else '1'} to {MAX_TEXT} characters without NUL", f"{len(text)} characters"
        )
    return text


def _finite(where: str, value: float) -> float:
    if not math.isfinite(value):
        raise DecodeError(where, "a finite number", str(value))
    return value


def _quality(where: str, value: pb.Quality) -> Quality:
    if value not in _QUALITY_IN:
        raise DecodeError(where, "a known value", str(value))
    return _QUALITY_IN[value]


def _decode_event(message: pb.DeviceEvent, source: SourcePath, times: Times) -> DeviceEvent:
    text = _text("event.text", message.text, empty=True)
    return DeviceEvent(source, _text("event.code", message.code), times, _decode_params(message.params), text)


def _decode_subject(message: pb.SubjectClaim, source: SourcePath, times: Times) -> SubjectClaim:
    return SubjectClaim(source, message.sealed, _text("subject.key_id", message.key_id), times)


_DECODERS: Mapping[str, Callable[[pb.Record, SourcePath, Times], Record]] = {
    "observation": lambda m, source, times: _decode_observation(m.observation, source, times),
    "waveform": lambda m, source, times: _decode_waveform(m.waveform, source, times),
    "event": lambda m, source, times: _decode_event(m.event, source, times),
    "alarm": lambda m, source, times: _decode_alarm(m.alarm, source, times),
    "gap": lambda m, source, times: _decode_gap(m.gap, source, times),
    "subject": lambda m, source, times: _decode_subject(m.subject, source, times),
    "document": lambda m, source, times: _decode_document(m.document, source, times),
}
