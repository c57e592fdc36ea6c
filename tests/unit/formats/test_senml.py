"""SenML against RFC 8428: resolution of base values, times, fields that must be understood; and what our names mean."""

import json
import re
from decimal import Decimal
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import senml
from protocols.errors import DecodeError, Fault
from protocols.package import MAX_BYTES, JsonObject, Maker, Package
from protocols.record import NS_PER_S, DeviceEvent, Observation, Record, Times, WaveformGroup

AT_NS = 1_790_000_000 * NS_PER_S
T = 1_773_556_205
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "senml.md"


def read(*records: JsonObject, names: dict[str, str] | None = None) -> Package:
    return senml.read_json(json.dumps(records).encode(), AT_NS, names or {})


def one(package: Package) -> Record | Fault:
    (record,) = package.records
    return record


def reading(package: Package) -> Observation:
    record = one(package)
    assert isinstance(record, Observation), str(record)
    return record


def test_base_values_hold_from_their_record_on():
    """The rules of clause 4.6, with base value and base unit."""
    package = read(
        {"bn": "d/a:", "bt": T, "bu": "Cel", "bv": 30, "n": "MDC_TEMP_BODY", "v": 7},
        {"n": "MDC_TEMP_SKIN", "t": -5, "v": 2.5},
        {"bn": "d/b:", "n": "MDC_TEMP_BODY", "u": "K", "bv": 0, "v": 310.15},
    )
    values = [(r.source.path, r.value, r.times.device_ns) for r in package.records if isinstance(r, Observation)]
    assert values == [(("a",), 37.0, T * NS_PER_S), (("a",), 32.5, (T - 5) * NS_PER_S), (("b",), 37.0, T * NS_PER_S)]


def test_the_other_makers_example_is_read_by_a_table_of_names():
    """The pack of clause 5.1.3, in content: a base name of a MAC address that knows nothing of us."""
    names = {"urn:dev:mac:0024beff804ff1:temp": "hall-7/probe:MDC_TEMP_SKIN"}
    pack = {"bn": "urn:dev:mac:0024beff804ff1:", "bt": T, "n": "temp", "u": "Cel", "v": 36.75}
    record = reading(read(pack, names=names))
    assert (str(record.source), record.code, record.value) == ("hall-7/probe", "MDC_TEMP_SKIN", 36.75)


@pytest.mark.parametrize(
    ("t", "times"),
    [
        (T + 0.123456, Times(AT_NS, (T * 10**6 + 123456) * 1000)),
        (0, Times(AT_NS)),
        (-1.5, Times(AT_NS, corrected_ns=AT_NS - 1_500_000_000)),
        (2**28, Times(AT_NS, 2**28 * NS_PER_S)),
    ],
)
def test_times_are_absolute_from_two_to_the_28_on_and_count_from_arrival_below(t: float, times: Times):
    assert reading(read({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 37, "t": t})).times == times


def test_the_shortest_update_time_of_a_pack_says_within_how_long_the_next_one_comes():
    """Clause 4.1: the maximum time before this sensor will provide an updated reading."""
    temperature = {"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 37}
    assert read({**temperature, "ut": 300}, {**temperature, "ut": 60.5}, temperature).next_within_s == 60.5
    assert read(temperature).next_within_s == 0
    assert senml.read_cbor(cbor2.dumps([{0: "d/x:MDC_TEMP_BODY", 1: "Cel", 2: 37, 7: 60}]), AT_NS).next_within_s == 60


@pytest.mark.parametrize("ut", [0, -1, "soon", True])
def test_an_update_time_that_is_none_is_a_fault(ut: object):
    fault = one(read({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 37, "ut": ut}))
    assert isinstance(fault, Fault)
    assert fault.where == "record 0, ut"


def test_a_time_ahead_is_a_fault():
    fault = one(read({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 37, "t": 5}))
    assert isinstance(fault, Fault)
    assert fault.expected == "now or before now"


def test_a_decimal_fraction_of_cbor_is_the_number_that_was_written():
    pack = [{0: "d/x:MDC_TEMP_BODY", 1: "[degF]", 2: Decimal("98.6")}]
    assert reading(senml.read_cbor(cbor2.dumps(pack), AT_NS)).value == 37.0


def test_a_pack_is_known_again_by_its_number_or_by_absolute_times_and_else_not_at_all():
    value = {"u": "Cel", "v": 37}
    numbered = read({"bn": "d/", "n": "package", "v": 3}, {"n": "x:MDC_TEMP_BODY", **value})
    absolute = read({"n": "d/x:MDC_TEMP_BODY", "t": T, **value})
    relative = read({"n": "d/x:MDC_TEMP_BODY", **value})
    assert (numbered.number, numbered.identity is None) == (3, False)
    assert (absolute.number, absolute.identity is None) == (None, False)
    assert (relative.number, relative.identity is None) == (None, True)


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ({"bver": 11}, "record 0, bver"),
        ({"future_": 1}, "record 0, future_"),
        ({"s": 1}, "record 0, s"),
        ({"bs": 1}, "record 0, bs"),
        ({"bn": "d d/"}, "record 0, n"),
        ({"bn": 7}, "record 0, bn"),
        ({"n": "temperature"}, "record 0, n"),
    ],
)
def test_a_pack_that_would_be_misread_is_refused_as_a_whole(record: JsonObject, where: str):
    with pytest.raises(DecodeError) as caught:
        read({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 37, **record})
    assert caught.value.where == where


def test_a_label_that_need_not_be_understood_is_passed_over():
    pack = [{0: "d/x:MDC_TEMP_BODY", 1: "Cel", 2: 37, -99: 1, "note": "x"}]
    assert reading(senml.read_cbor(cbor2.dumps(pack), AT_NS)).value == 37.0


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "vb": True}, "record 1"),
        ({"n": "d/x:MDC_TEMP_BODY", "u": "Cel"}, "record 1"),
        ({"n": "d/x:MDC_TEMP_BODY", "v": 37}, "record 1, u"),
        ({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": "37"}, "record 1, v"),
        ({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 10**400}, "record 1, v"),
        ({"n": "d/x:temp", "u": "Cel", "v": 37}, "record 1, n"),
        ({"n": "d/x:MDC_TEMP_BODY", "u": "Cel", "v": 1, "vs": "one"}, "record 1"),
        ({"n": "d/WDL_EVT_DEVICE_SEEN", "vs": "me"}, "record 1, n"),
        ({"n": "d/ecg:fs", "v": 250}, "ecg"),
    ],
)
def test_a_record_that_cannot_be_is_a_fault_beside_the_good_ones(record: JsonObject, where: str):
    good, fault = read({"n": "d/y:MDC_TEMP_BODY", "u": "Cel", "v": 37}, record).records
    assert isinstance(good, Observation)
    assert isinstance(fault, Fault)
    assert fault.where == where


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\x81" * 1000,
        b"\x9b" + b"\xff" * 8,
        b"\xa0",
        b"\x81\x01",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b" " * (MAX_BYTES + 1),
    ],
    ids=lambda b: b[:8].hex(),
)
def test_bytes_that_are_no_pack_say_so(body: bytes):
    with pytest.raises(DecodeError):
        senml.read_cbor(body, AT_NS)


def test_a_small_pack_cannot_unfold_without_end():
    """CBOR's shared values (tags 28 and 29): each level names the one below twice."""
    with pytest.raises(DecodeError):
        senml.read_cbor(b"\x82\xd8\x1c\x81\x01\x82\xd8\x1d\x00\xd8\x1d\x00", AT_NS)


def test_a_number_of_thousands_of_digits_is_told_without_its_digits():
    (fault,) = senml.read_cbor(cbor2.dumps([{0: "d/x:MDC_X", 1: "1", 3: 10**6000}]), AT_NS).records
    assert isinstance(fault, Fault)
    assert fault.found == "an integer of 19932 bits"


@given(st.data())
def test_a_pack_that_was_damaged_makes_a_package_or_a_clear_error(data: st.DataObject):
    pack = [
        {-2: "d/ecg:", -3: T, 0: "fs", 1: "Hz", 2: 250},
        {0: "first", 2: 1},
        {0: "gain", 1: "uV", 2: Decimal("2.44")},
        {0: "MDC_ECG_ELEC_POTL_II", 8: b"\x00\x01" * 20},
        {0: "MDC_TEMP_BODY", 1: "Cel", 2: 36.6, 6: -3.25},
    ]
    good = cbor2.dumps(pack)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 3)) :]
    try:
        package = senml.read_cbor(bad, AT_NS)
    except DecodeError:
        return
    assert package.device


def test_the_examples_of_the_reference_page_are_read_as_it_says():
    readings, waves = (
        json.loads(e) for e in re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    )
    package = read(*readings)
    temperature, oxygen, battery = package.records
    assert (package.number, package.maker) == (17, Maker("Acme", "P1"))
    assert isinstance(temperature, Observation)
    assert (temperature.value, temperature.site, temperature.source.path) == (36.75, "axilla", ("probe-1",))
    assert isinstance(oxygen, Observation)
    assert oxygen.times.device_ns == (T - 2) * NS_PER_S
    assert isinstance(battery, DeviceEvent)
    group = one(read(*waves))
    assert isinstance(group, WaveformGroup)
    assert group.array().tolist() == [[0, 1, 2], [0, 1, 2]]
    assert (group.first_sample, group.fs_hz, group.scales[0].gain, group.scales[0].unit) == (12000, 250.0, 2.44, "uV")
