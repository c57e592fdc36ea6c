"""Records on the wire: each comes back as it was, and what is no record says where and why."""

import math
from collections.abc import Callable

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from protocols import device_package_pb2 as pb
from protocols.errors import DecodeError
from protocols.record import AlarmCondition, Record
from protocols.wire import MAX_MESSAGE_BYTES, decode_record, encode_record, parse_record
from tests.unit.wire.examples import EXAMPLES, records


def outcome(read: Callable[[], Record]) -> Record | DecodeError:
    """A record, or the error that names the field; nothing else may leave a decoder."""
    try:
        return read()
    except DecodeError as error:
        return error


def is_clear(found: Record | DecodeError) -> bool:
    return not isinstance(found, DecodeError) or bool(found.where and found.expected and found.found)


def encoded(record: Record) -> bytes:
    return encode_record(record).SerializeToString(deterministic=True)


@given(records())
def test_a_record_of_any_kind_comes_back_as_it_was(record: Record):
    assert parse_record(encoded(record)) == record


@pytest.mark.parametrize("name", EXAMPLES)
def test_types_of_parameters_and_values_survive(name: str):
    record = EXAMPLES[name]
    assert repr(parse_record(encoded(record))) == repr(record)


@given(
    st.sampled_from(list(EXAMPLES.values())),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1),
)
def test_changed_bytes_are_a_record_or_a_decode_error(record: Record, changes: list[tuple[int, int]]):
    data = bytearray(encoded(record))
    for at, value in changes:
        data[at % len(data)] = value
    assert is_clear(outcome(lambda: parse_record(bytes(data))))


@given(st.sampled_from(list(EXAMPLES.values())), st.integers(0, 10_000))
def test_a_cut_record_is_a_record_or_a_decode_error(record: Record, at: int):
    data = encoded(record)
    assert is_clear(outcome(lambda: parse_record(data[: at % len(data)])))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_a_decode_error(data: bytes):
    assert is_clear(outcome(lambda: parse_record(data)))


@given(st.sampled_from(list(EXAMPLES.values())), st.data())
def test_any_value_in_any_field_is_a_record_or_a_decode_error(record: Record, data: st.DataObject):
    """Mutation with lengths mended: the message stays well-formed, one field of it takes a value at the edge of its type."""
    message = encode_record(record)
    target, field = data.draw(st.sampled_from(list(fields_of(message))))
    edges: list[object] = [0, 1, -1, 7, 99, 2**31 - 1, 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1]
    edges += [math.nan, math.inf, -math.inf, 1e308, "", "\0", "a b", "x" * 5000, b"", b"x" * 70_000, True]
    try:
        setattr(target, field, data.draw(st.sampled_from(edges)))
    except (TypeError, ValueError, OverflowError):
        return  # the wire cannot carry it
    assert is_clear(outcome(lambda: decode_record(message)))


def fields_of(message: Message) -> "list[tuple[Message, str]]":
    found: list[tuple[Message, str]] = []
    for field, value in message.ListFields():
        values = list(value) if field.is_repeated else [value]
        for one in values:
            if isinstance(one, Message):
                found += fields_of(one)
            elif not field.is_repeated:
                found.append((message, field.name))
    return found


Change = Callable[[pb.Record], object]


def _set(path: str, value: object) -> Change:
    *way, last = path.split(".")

    def change(message: pb.Record) -> None:
        target: object = message
        for step in way:
            target = getattr(target, step) if not step.isdigit() else target[int(step)]  # type: ignore[index]
        setattr(target, last, value)

    return change


@pytest.mark.parametrize(
    ("name", "change", "where", "found"),
    [
        ("gap", _set("source", "a b/c"), "source", "'a b'"),
        ("gap", _set("source", ""), "source", "''"),
        ("gap", _set("source", "x" * 300), "source", "300"),
        ("gap", lambda m: m.ClearField("times"), "times", "none"),
        ("gap", lambda m: m.ClearField("gap"), "kind", "none"),
        ("gap", _set("times.uncertainty_ns", 2**63), "times.uncertainty_ns", "9223372036854775808"),
        ("gap", _set("gap.to_ns", 0), "gap.to_ns", "0"),
        ("gap", _set("gap.reason", "bad luck"), "gap.reason", "'bad luck'"),
        ("gap", _set("gap.to_sample", 999), "gap.to_sample", "999"),
        ("gap", lambda m: m.gap.ClearField("to_sample"), "gap.from_sample, gap.to_sample", "one"),
        ("observation", _set("observation.number", math.nan), "observation.number", "nan"),
        ("observation", _set("observation.number", math.inf), "observation.number", "inf"),
        ("observation", lambda m: m.observation.ClearField("number"), "observation.value", "none"),
        ("observation", _set("observation.comparator", "~"), "observation.comparator", "'~'"),
        ("observation", _set("observation.quality", 0), "observation.quality", "0"),
        ("observation", _set("observation.quality", 99), "observation.quality", "99"),
        ("observation", _set("observation.code", ""), "observation.code", "''"),
        ("observation", _set("observation.site", "a\0b"), "observation.site", r"'a\x00b'"),
        ("observation-text", _set("observation.comparator", "<"), "observation.comparator", "'<'"),
        ("observation-text", _set("observation.text", "x" * 4097), "observation.text", "4097"),
        ("waveform", _set("waveform.n", 5), "waveform.samples", "16"),
        ("waveform", _set("waveform.n", 0), "waveform.n", "0"),
        ("waveform", _set("waveform.n", 2**32 - 1), "waveform.n", "4294967295"),
        ("waveform", _set("waveform.codec", 9), "waveform.codec", "9"),
        ("waveform", _set("waveform.dtype", 0), "waveform.dtype", "0"),
        ("waveform", _set("waveform.fs_hz", 0.0), "waveform.fs_hz", "0.0"),
        ("waveform", _set("waveform.fs_hz", math.nan), "waveform.fs_hz", "nan"),
        ("waveform", _set("waveform.first_sample", 2**63 - 1), "waveform.first_sample", "9223372036854775807"),
        ("waveform", lambda m: m.waveform.leads.extend(["X"] * 300), "waveform.leads, how many", "302"),
        ("waveform", lambda m: m.waveform.scales.pop(), "waveform.scales, how many", "1"),
        ("waveform", lambda m: m.waveform.quality.append(1), "waveform.quality, how many", "3"),
        ("waveform", _set("waveform.scales.0.gain", 0.0), "waveform.scales.gain", "0"),
        ("waveform", _set("waveform.scales.0.offset", math.inf), "waveform.scales.offset", "inf"),
        ("alarm", _set("alarm.id", b"short"), "alarm.id, bytes", "5"),
        ("alarm", _set("alarm.priority", 0), "alarm.priority", "0"),
        ("alarm", _set("alarm.kind", 3), "alarm.kind", "3"),
        ("alarm", _set("alarm.presence", 9), "alarm.presence", "9"),
        ("alarm", _set("alarm.params.0.number", math.nan), "alarm.params.rate", "nan"),
        ("alarm", lambda m: m.alarm.params.add(key="x"), "alarm.params.x", "none"),
        ("alarm", lambda m: m.alarm.params.extend([pb.Param(key="k", flag=True)] * 70), "alarm.params, how many", "74"),
        ("alarm", _set("alarm.evidence.confidence", 1.5), "alarm.evidence.confidence", "1.5"),
        ("alarm", _set("alarm.evidence.classes", "NV"), "alarm.evidence.classes", "2"),
        (
            "alarm",
            lambda m: m.alarm.evidence.spans.add(kind="window", from_sample=2),
            "alarm.evidence.spans.to_sample",
            "0",
        ),
        ("alarm", lambda m: m.alarm.evidence.spans.add(), "alarm.evidence.spans.kind", "''"),
        (
            "alarm",
            lambda m: m.alarm.evidence.reasons.add(code="x", weight=math.nan, unit="1"),
            "alarm.evidence.reasons.weight",
            "nan",
        ),
        (
            "alarm",
            lambda m: m.alarm.evidence.reasons.extend([pb.Reason(code="x", unit="1")] * 65),
            "alarm.evidence.reasons, how many",
            "65",
        ),
        (
            "alarm",
            lambda m: m.alarm.evidence.models.add(name="x", version="1", sha256="B9"),
            "alarm.evidence.models.sha256",
            "'B9'",
        ),
        ("alarm", lambda m: m.alarm.evidence.strip.gap.SetInParent(), "alarm.evidence.strip", "gap"),
        ("alarm", lambda m: m.alarm.evidence.beats.extend([0] * 5000), "alarm.evidence.beats, how many", "5003"),
        ("subject", _set("subject.sealed", b""), "subject.sealed, bytes", "0"),
        ("subject", _set("subject.sealed", bytes(70_000)), "subject.sealed, bytes", "70000"),
        ("document", _set("document.content", b"changed"), "document.sha256", "'"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_held(name: str, change: Change, where: str, found: str):
    message = encode_record(EXAMPLES[name])
    change(message)
    with pytest.raises(DecodeError) as caught:
        decode_record(message)
    assert caught.value.where == where
    assert found in caught.value.found


def test_a_message_above_one_mebibyte_is_refused_unread():
    with pytest.raises(DecodeError, match="at most 1048576 bytes, found 1048577 bytes"):
        parse_record(bytes(MAX_MESSAGE_BYTES + 1))


def test_a_class_of_beats_that_a_later_release_tells_is_one_not_known():
    message = encode_record(EXAMPLES["alarm"])
    message.alarm.evidence.classes = "NXV"
    found = decode_record(message)
    assert isinstance(found, AlarmCondition)
    assert found.evidence is not None
    assert found.evidence.classes == "N?V"


def test_an_alarm_within_an_alarm_within_an_alarm_does_not_exhaust_the_stack():
    message = encode_record(EXAMPLES["alarm"])
    for _ in range(90):
        outer = encode_record(EXAMPLES["alarm"])
        outer.alarm.evidence.strip.CopyFrom(message)
        message = outer
    with pytest.raises(DecodeError):
        parse_record(message.SerializeToString())
