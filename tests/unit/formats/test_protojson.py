"""The quick way from JSON to a message reads every value as protobuf's own reader does, and refuses what that refuses."""

import copy
import json
from typing import TypeAlias, cast

import pytest
from google.protobuf import json_format
from hypothesis import example, given
from hypothesis import strategies as st

from protocols import device_package_pb2 as pb
from protocols.protojson import Reader
from protocols.wire import encode_record
from tests.unit.wire.examples import EXAMPLES

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

RECORDS: list[JsonValue] = [
    json.loads(json_format.MessageToJson(encode_record(record), preserving_proto_field_name=original))
    for record in EXAMPLES.values()
    for original in (True, False)
]
# What a sender may write where something else belongs: other kinds, other forms of the same, bounds and what lies beyond them.
VALUES: list[JsonValue] = [
    None, True, False, 0, -1, 1, 7, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 0.0, 1.0, 1.5, 1e300, float("nan"), float("inf"),
    "", "0", "-0", "007", "+7", "-5", "--5", " 5", "1_000", "1e3", "1.0", "\u0665", "NaN", "Infinity", "nan", "true", "AAAB", "AA==", "AA", "A", "*-_/+",
    "QUALITY_GOOD", "CODEC_RAW", "PRIORITY_HIGH", "\ud800", "\U0001f600", "x\0y", [], [1], [None], ["a", "b"], ["QUALITY_GOOD"], [[]], {}, [{}],
    {"code": "x"}, {"device_ns": "5"}, {"number": 1, "text": "a"},
]  # fmt: skip
NAMES = [
    "source",
    "times",
    "gateway_ns",
    "gatewayNs",
    "device_ns",
    "observation",
    "number",
    "text",
    "coded",
    "unknown",
    "event",
    "[x]",
    "",
]


def both(value: JsonValue) -> tuple[str, str]:
    """What the quick reader and protobuf's make of it: the bytes of the message, or that it is refused."""
    return said(lambda: Reader(pb.Record).read(value)), said(
        lambda: json_format.ParseDict(cast("dict[str, object]", value), pb.Record())
    )


def said(read: object) -> str:
    assert callable(read)
    try:
        message = cast("pb.Record", read())
    except (json_format.ParseError, OverflowError):
        return "refused"
    except (SystemError, UnicodeError):  # protobuf's own reader, of half a surrogate pair
        return "refused"
    except (AttributeError, TypeError):
        return "no object"
    return message.SerializeToString(deterministic=True).hex()


@st.composite
def damaged(draw: st.DrawFn) -> JsonValue:
    """A record in which some values, and some names, are others."""
    record = copy.deepcopy(draw(st.sampled_from(RECORDS)))
    for _ in range(draw(st.integers(0, 3))):
        at = record
        while True:
            if isinstance(at, dict) and at:
                name = draw(st.sampled_from(sorted(at)))
                if not isinstance(at[name], dict | list) or draw(st.booleans()):
                    other = draw(st.sampled_from([name, *NAMES]))
                    kept = at.pop(name) if draw(st.booleans()) else at[name]
                    at[other] = draw(st.sampled_from([kept, *VALUES]))
                    break
                at = at[name]
            elif isinstance(at, list) and at:
                index = draw(st.integers(0, len(at) - 1))
                if not isinstance(at[index], dict | list) or draw(st.booleans()):
                    at[index] = draw(st.sampled_from(VALUES))
                    break
                at = at[index]
            else:
                break
    return record


@given(damaged())
@example({"source": "a", "times": "\ud800"})
@example({"source": "\ud800"})
@example({"\ud800": "a"})
@example({"source": "a", "observation": {"number": 10**400}})
@example({"source": "a", "observation": {"number": 1, "text": "b"}})
@example({"source": "a", "times": {}, "observation": {}})
@example({"source": "a", "times": {"device_ns": 0, "deviceNs": 1}})
@example({"source": "a", "times": {"device_ns": True}})
@example([])
def test_every_value_is_read_as_protobufs_own_reader_reads_it(record: JsonValue):
    quick, slow = both(record)
    assert quick == slow


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_what_we_write_ourselves_is_read_again(record: JsonValue):
    quick, slow = both(record)
    assert quick == slow != "refused"


@pytest.mark.parametrize(
    "record",
    [{"source": "a", "times": "\ud800"}, {"source": "\ud800"}, {"\ud800": 1}, {"event": {"text": "\ud800"}}],
    ids=repr,
)
def test_half_of_a_surrogate_pair_is_refused_as_everything_that_is_wrong(record: JsonValue):
    """`json.loads` gives it for an escaped U+D800, which any device may send."""
    with pytest.raises(json_format.ParseError):
        Reader(pb.Record).read(record)
