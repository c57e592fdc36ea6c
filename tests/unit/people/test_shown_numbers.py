"""What a bed's tile shows: of several sources of one number which one, and of a device that hands over recordings no link and no strip."""

from datetime import UTC, datetime

from hub.placement.domain import PlacedDevice, Point, Ward
from hub.wards.domain import Link, LinkState, Numeric, Reading, Stream, bed_link, lay_out, preferred, reading
from models.screening.rhythm import RATE_AVERAGE_NS
from protocols.nomenclature import BATTERY_CHARGE, HEART_RATE, lead
from protocols.record import SourcePath, is_recorded

AT_MS = 1_800_000_000_000
BED = Point(5, Ward(1, "7b", "7B"), "6")


def rate(value: float, at_ms: int, source: str, *, screened: bool) -> Reading:
    number = Numeric(HEART_RATE, value, "/min", at_ms, "good")
    return reading(source, number, RATE_AVERAGE_NS if screened else 0)


def charge(percent: float, at_ms: int, device: str) -> Reading:
    return reading(device, Numeric(BATTERY_CHARGE, percent, "%", at_ms, "good"), 0)


def shown(*readings: Reading) -> float | None:
    kept = None
    for one in readings:
        kept = preferred(kept, one)
    assert kept is not None
    return kept.number.value


def test_the_rate_on_which_alarms_are_decided_goes_before_the_straps_own():
    assert shown(rate(72, AT_MS, "s/ecg", screened=True), rate(75, AT_MS + 900, "s/heart_rate", screened=False)) == 72
    assert shown(rate(75, AT_MS + 900, "s/heart_rate", screened=False), rate(72, AT_MS, "s/ecg", screened=True)) == 72


def test_a_device_stands_in_when_the_screening_has_told_no_rate_for_ten_seconds():
    screened, own = rate(72, AT_MS, "s/ecg", screened=True), rate(75, AT_MS + 10_001, "s/heart_rate", screened=False)
    assert shown(screened, own) == 75
    assert shown(screened, own, rate(71, AT_MS + 10_500, "s/ecg", screened=True)) == 71


def test_a_rate_that_the_screening_calls_unusable_is_not_replaced_by_one_that_counts_fibrillation():
    unusable = Reading(Numeric(HEART_RATE, 210, "/min", AT_MS, "unusable"), "m/ecg", screened=True)
    assert preferred(unusable, rate(205, AT_MS + 500, "m/ecg", screened=False)) is unusable


def test_the_later_of_equals_is_shown_and_a_backlog_is_not():
    assert shown(rate(70, AT_MS, "a/x", screened=False), rate(71, AT_MS + 1, "b/x", screened=False)) == 71
    assert shown(rate(70, AT_MS, "a/x", screened=False), rate(71, AT_MS - 1, "b/x", screened=False)) == 70


def test_of_two_batteries_the_emptier_one_is_told():
    assert shown(charge(12, AT_MS, "strap"), charge(90, AT_MS + 1000, "patch")) == 12
    assert shown(charge(12, AT_MS, "strap"), charge(95, AT_MS + 1000, "strap")) == 95


def stream(source: str, number: int = 1, device: int = 9) -> Stream:
    newest = datetime(2026, 11, 21, tzinfo=UTC)
    return Stream(number, device, source, (lead("II"),), 500.0, "<i2", (1.0,), (0.0,), ("uV",), newest)


def test_a_bed_with_a_cart_has_no_strip_of_it_and_no_link_that_could_be_lost():
    layout = lay_out({5: BED}, [PlacedDevice(9, 5, "cart-6", "g")], [stream("cart-6/recorded/ecg")])
    bed = layout.beds[5]
    assert (bed.leads, bed.streams, bed.recorders) == ((), (), frozenset({"cart-6"}))
    assert bed_link(bed, {}).state is LinkState.RECORDINGS


def test_beside_a_cart_the_monitor_alone_says_how_the_link_is():
    devices = [PlacedDevice(9, 5, "cart-6", "g"), PlacedDevice(10, 5, "monitor", "g")]
    streams = [stream("cart-6/recorded/ecg"), stream("monitor/ecg", 2, 10)]
    bed = lay_out({5: BED}, devices, streams).beds[5]
    assert [lead_.source for lead_ in bed.leads] == ["monitor/ecg"]
    for state in (LinkState.LIVE, LinkState.DEVICE_SILENT, LinkState.GATEWAY_LOST):
        assert bed_link(bed, {"monitor": Link(state, 1, "g", "monitor")}).state is state


def test_a_device_without_any_stream_is_waited_for_as_before():
    bed = lay_out({5: BED}, [PlacedDevice(9, 5, "thermometer", "g")], []).beds[5]
    assert bed_link(bed, {}).state is LinkState.NEVER


def test_a_recording_is_known_by_the_first_part_of_its_path():
    for text, recorded in (
        ("cart/recorded/ecg", True), ("cart/recorded", True), ("cart", False), ("recorded", False),
        ("cart/ecg/recorded", False), ("cart/recorded-2/ecg", False),
    ):  # fmt: skip
        assert is_recorded(text) is SourcePath.parse(text).is_recorded is recorded
