"""Heart rate, battery and device information as the Bluetooth SIG lays them out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DecodeError
from protocols.gatt import device_information, heart_rate, uuid16
from protocols.gatt.battery import Battery
from protocols.gatt.device_information import DeviceInformation
from protocols.gatt.heart_rate import HeartRate
from protocols.nomenclature import EVT_BATTERY_LOW, EVT_DEVICE_SEEN
from protocols.record import DeviceEvent, Observation, Quality, SourcePath

STRAP = SourcePath("strap")
AT = 1_000_000_000
# Flags 16: RR intervals, contact known and there. 75/min, RR 820/1024 s and 805/1024 s.
PRINTED = bytes.fromhex("16 4B 34 03 25 03")


def written(rate: HeartRate, *, wide: bool) -> bytes:
    flags = wide | (rate.energy_kj is not None) << 3 | bool(rate.rr_1024) << 4
    if rate.contact is not None:
        flags |= 4 | rate.contact << 1
    out = bytes([flags]) + rate.per_min.to_bytes(2 if wide else 1, "little")
    if rate.energy_kj is not None:
        out += rate.energy_kj.to_bytes(2, "little")
    return out + b"".join(rr.to_bytes(2, "little") for rr in rate.rr_1024)


rates = st.builds(
    HeartRate,
    st.integers(0, 255),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 0xFFFF),
    st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
)


def test_the_printed_heart_rate_is_read_as_printed():
    assert heart_rate.parse(PRINTED) == HeartRate(75, contact=True, rr_1024=(820, 805))
    rate, *intervals = heart_rate.records(STRAP, PRINTED, AT)
    assert (rate.value, rate.unit) == (75.0, "/min")
    assert [round(float(o.value), 1) for o in intervals] == [800.8, 786.1]
    assert {o.unit for o in intervals} == {"ms"}


@given(rates, st.booleans())
def test_every_combination_of_flags_is_read_back(rate: HeartRate, wide: bool):
    assert heart_rate.parse(written(rate, wide=wide)) == rate


@pytest.mark.parametrize("flags", range(32))
def test_a_value_cut_short_is_refused_for_every_combination_of_flags(flags: int):
    whole = bytes([flags]) + bytes([70, 0][: 1 + (flags & 1)]) + bytes(2 * (flags >> 3 & 1)) + bytes(2 * (flags >> 4))
    heart_rate.parse(whole)
    # without intervals the value still ends at a field: they are as many as there are
    ends_of_fields = {len(whole), len(whole) - 2} if flags >> 4 else {len(whole)}
    for cut in range(len(whole)):
        if cut not in ends_of_fields:
            with pytest.raises(DecodeError, match="heart rate measurement"):
                heart_rate.parse(whole[:cut])


def test_bytes_that_no_flag_announces_are_refused():
    with pytest.raises(DecodeError, match="the end of the value, found 2 bytes more"):
        heart_rate.parse(bytes.fromhex("00 4B 34 03"))


@given(st.binary(max_size=24))
def test_no_bytes_break_the_heart_rate(data: bytes):
    with suppress(DecodeError):
        assert all(isinstance(o.value, float) for o in heart_rate.records(STRAP, data, AT))


@given(rates, st.booleans(), st.data())
def test_a_changed_bit_behind_the_flags_never_goes_unseen(rate: HeartRate, wide: bool, data: st.DataObject):
    value = bytearray(written(rate, wide=wide))
    bit = data.draw(st.integers(8, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    assert heart_rate.parse(bytes(value)) != rate


def test_without_skin_contact_nothing_may_be_used():
    readings = heart_rate.records(STRAP, bytes.fromhex("14 4B 34 03"), AT)
    assert {o.quality for o in readings} == {Quality.LEAD_OFF}


def test_a_rate_of_0_is_no_standing_heart():
    (rate,) = heart_rate.records(STRAP, bytes.fromhex("00 00"), AT)
    assert rate.quality is Quality.QUESTIONABLE


def test_a_rate_beyond_any_heart_is_refused():
    with pytest.raises(DecodeError, match="at most 350 /min, found 65535"):
        heart_rate.records(STRAP, bytes.fromhex("01 FF FF"), AT)


def test_the_battery_is_told_once_when_it_runs_low():
    battery = Battery(STRAP)
    told = [battery.records(bytes([percent]), AT) for percent in (100, 16, 15, 14, 16, 15, 60, 15)]
    levels = [r.value for records in told for r in records if isinstance(r, Observation)]
    assert levels == [100, 16, 15, 14, 16, 15, 60, 15]
    low = [[r.code for r in records if isinstance(r, DeviceEvent)] for records in told]
    assert low == [[], [], [EVT_BATTERY_LOW], [], [], [], [], [EVT_BATTERY_LOW]]


@pytest.mark.parametrize("data", [b"", b"\x65", b"\x10\x10"])
def test_a_level_that_is_no_percentage_is_refused(data: bytes):
    with pytest.raises(DecodeError, match="one byte of 0 to 100"):
        Battery(STRAP).records(data, AT)


def test_the_strings_leave_together_and_again_only_when_one_changed():
    device = DeviceInformation(STRAP)
    for number, text in ((0x2A29, b"Polar Electro Oy\0"), (0x2A24, b"H10"), (0x2A25, b"5C1A2B3C"), (0x2A26, b"5.0.0")):
        device.take(uuid16(number), text)
    device.take(device_information.SYSTEM_ID, bytes.fromhex("3C2B1AFEFF9E9EA0"))
    (event,) = device.told(AT)
    assert event.code == EVT_DEVICE_SEEN
    assert event.params == (
        ("make", "Polar Electro Oy"),
        ("model", "H10"),
        ("serial", "5C1A2B3C"),
        ("firmware", "5.0.0"),
        ("system_id", "a09e9efffe1a2b3c"),
    )
    device.take(uuid16(0x2A26), b"5.0.0")
    assert device.told(AT) == []
    device.take(uuid16(0x2A26), b"5.1.0")
    assert dict(device.told(AT)[0].params)["firmware"] == "5.1.0"


@given(st.sampled_from(device_information.CHARACTERISTICS), st.binary(max_size=600))
def test_no_bytes_break_the_strings_and_none_brings_control_characters(characteristic: str, data: bytes):
    device = DeviceInformation(STRAP)
    try:
        device.take(characteristic, data)
    except DecodeError:
        assert device.told(AT) == []
    else:
        assert all(str(value).isprintable() for event in device.told(AT) for _, value in event.params)
