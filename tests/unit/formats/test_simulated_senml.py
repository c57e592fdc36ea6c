"""What simulated sensors write is what a CBOR library reads: their writer is our own, so that no mistake is made twice."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_adapters.simulate.patch import FAULTS, Device, Thermometer, order, temperature_at
from firmware_adapters.simulate.senml_writer import Decimal, write_pack


@given(
    st.lists(
        st.one_of(st.integers(-(2**64), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary(max_size=300)),
        max_size=40,
    )
)
def test_every_value_comes_back(values: list[int | float | str | bytes]):
    assert cbor2.loads(write_pack([{"v": value} for value in values])) == [{2: value} for value in values]


def test_a_long_value_comes_back():
    assert cbor2.loads(write_pack([{"vd": bytes(70_000)}])) == [{8: bytes(70_000)}]


def test_a_time_keeps_its_nanoseconds():
    (record,) = cbor2.loads(write_pack([{"bt": Decimal(1_773_556_205_123_456_789, -9)}]))
    assert str(record[-3]) == "1773556205.123456789"


def test_a_number_beyond_64_bits_is_refused():
    with pytest.raises(ValueError, match="64 bits"):
        write_pack([{"v": 2**64}])


def test_a_thermometer_measures_every_few_seconds_and_not_while_its_probe_is_out():
    thermometer = Thermometer(Device("t", 0, ("a", "b", "c", "d"), 2), every_s=2)
    thermometer.device.fault("pull-lead", 3)
    packs = [thermometer.next_pack() for _ in range(8)]
    sent = [second for second, pack in enumerate(packs) if pack is not None]
    assert sent == [4, 6]
    read = cbor2.loads(packs[6] or b"")
    assert (float(read[-1][2]), read[0][2]) == (temperature_at(6), 2)


def test_a_clock_that_goes_wrong_begins_in_2005_and_is_mended_by_the_same_line():
    device = Device("t", 1_773_556_205 * 10**9, ("a", "b", "c", "d"), 2, second=10)
    device.fault("wrong-clock")
    device.second = 13
    assert device.clock_ns() == (1_104_537_600 + 3) * 10**9
    device.fault("wrong-clock")
    assert device.clock_ns() == (1_773_556_205 + 13) * 10**9


@pytest.mark.parametrize("line", ["", "FAULT", "explode", "garbage x", "garbage 1 2"])
def test_a_line_that_is_no_fault_is_answered_with_those_that_are(line: str):
    with pytest.raises(ValueError, match=", ".join(FAULTS)):
        order(line)
