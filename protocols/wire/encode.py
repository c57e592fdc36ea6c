"""Records to the messages of device_package.proto. It checks nothing: the reader does, and keeps what it cannot read."""

from collections.abc import Iterable

from protocols import codec
from protocols import device_package_pb2 as pb
from protocols.record import (
    Acknowledgement,
    AlarmCondition,
    DeviceEvent,
    Document,
    Evidence,
    Gap,
    Observation,
    Params,
    Record,
    SubjectClaim,
    Times,
    WaveformGroup,
)
from protocols.wire.tables import CODEC, DTYPE, KIND, PRESENCE, PRIORITY, QUALITY


def encode_record(record: Record) -> pb.Record:
    """Write one record as a message; ValueError where an integer does not fit its field (64 bits)."""
    if isinstance(record, Observation):
        return _reading(record)
    message = pb.Record(source=str(record.source), times=_times(record.times))
    match record:
        case WaveformGroup():
            message.waveform.CopyFrom(_waveform(record))
        case DeviceEvent():
            message.event.CopyFrom(
                pb.DeviceEvent(code=record.code, params=encode_params(record.params), text=record.text)
            )
        case AlarmCondition():
            message.alarm.CopyFrom(_alarm(record))
        case Gap():
            message.gap.CopyFrom(_gap(record))
        case SubjectClaim():
            message.subject.CopyFrom(pb.SubjectClaim(sealed=record.sealed, key_id=record.key_id))
        case Document():
            document = pb.Document(sha256=record.sha256, media_type=record.media_type, content=record.content)
            message.document.CopyFrom(document)
    return message


def _times(times: Times) -> pb.Times:
    return pb.Times(
        gateway_ns=times.gateway_ns,
        device_ns=times.device_ns,
        corrected_ns=times.corrected_ns,
        uncertainty_ns=times.uncertainty_ns,
        clock_segment=times.clock_segment,
    )


def _reading(record: Observation) -> pb.Record:
    """In one call, for most of what is sent are readings: a message in a message is made twice."""
    times, value = record.times, record.value
    kind = "number" if not isinstance(value, str) else "coded" if record.coded else "text"
    return pb.Record(
        source=str(record.source),
        times={
            "gateway_ns": times.gateway_ns,
            "device_ns": times.device_ns,
            "corrected_ns": times.corrected_ns,
            "uncertainty_ns": times.uncertainty_ns,
            "clock_segment": times.clock_segment,
        },
        observation={
            "code": record.code,
            kind: value,
            "comparator": record.comparator,
            "unit": record.unit,
            "site": record.site,
            "averaging_ns": record.averaging_ns,
            "quality": QUALITY[record.quality],
        },
    )


def _waveform(record: WaveformGroup) -> pb.WaveformGroup:
    number, samples = codec.encode(record.array(), among=codec.SENT)
    return pb.WaveformGroup(
        leads=record.leads,
        fs_hz=record.fs_hz,
        first_sample=record.first_sample,
        dtype=DTYPE[record.dtype],
        codec=CODEC[number],
        n=record.n,
        samples=samples,
        scales=[pb.Scale(gain=s.gain, offset=s.offset, unit=s.unit) for s in record.scales],
        quality=[QUALITY[quality] for quality in record.quality],
    )


def _alarm(record: AlarmCondition) -> pb.AlarmCondition:
    return pb.AlarmCondition(
        id=record.id.bytes,
        code=record.code,
        priority=PRIORITY[record.priority],
        kind=KIND[record.kind],
        presence=PRESENCE[record.presence],
        onset_ns=record.onset_ns,
        detected_ns=record.detected_ns,
        params=encode_params(record.params),
        evidence=None if record.evidence is None else _evidence(record.evidence),
        acknowledged=None if record.acknowledged is None else _acknowledged(record.acknowledged),
    )


def _acknowledged(seen: Acknowledgement) -> pb.Acknowledgement:
    return pb.Acknowledgement(at_ns=seen.at_ns, ticket=seen.ticket)


def _evidence(evidence: Evidence) -> pb.Evidence:
    return pb.Evidence(
        rule=evidence.rule,
        rule_version=evidence.rule_version,
        strip=None if evidence.strip is None else encode_record(evidence.strip),
        beats=evidence.beats,
        deciding_sample=evidence.deciding_sample,
        confidence=evidence.confidence,
        classes=evidence.classes,
        spans=[
            pb.Span(kind=s.kind, from_sample=s.from_sample, to_sample=s.to_sample, leads=s.leads)
            for s in evidence.spans
        ],
        reasons=[pb.Reason(code=r.code, weight=r.weight, value=r.value, unit=r.unit) for r in evidence.reasons],
        models=[pb.Model(name=m.name, version=m.version, sha256=m.sha256) for m in evidence.models],
    )


def _gap(record: Gap) -> pb.Gap:
    return pb.Gap(
        from_ns=record.from_ns,
        to_ns=record.to_ns,
        reason=record.reason,
        recoverable=record.recoverable,
        from_sample=record.from_sample,
        to_sample=record.to_sample,
    )


def encode_params(params: Params) -> Iterable[pb.Param]:
    """Typed parameters as messages."""
    for key, value in params:
        if isinstance(value, bool):
            yield pb.Param(key=key, flag=value)
        elif isinstance(value, int):
            yield pb.Param(key=key, integer=value)
        elif isinstance(value, float):
            yield pb.Param(key=key, number=value)
        else:
            yield pb.Param(key=key, text=value)
