"""When a recording was made, and whose it is: the cart's clock within bounds, arrival outside them (decision 0078)."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge.doors.files import MAX_FILE_BYTES, OLDEST_NS, TRUSTED_NS, read_aecg
from firmware_adapters.simulate.aecg import Recording, file_of
from protocols.errors import DecodeError
from protocols.nomenclature import EVT_CLOCK_WRONG
from protocols.package import Maker, Package
from protocols.record import NS_PER_S, DeviceEvent, WaveformGroup

BEGIN = datetime(2026, 3, 15, 14, 30, 5, tzinfo=UTC)
BEGIN_NS = round(BEGIN.timestamp()) * NS_PER_S
LASTS_NS = 10 * NS_PER_S
END_NS = BEGIN_NS + LASTS_NS


def cart_file(begin: datetime = BEGIN) -> bytes:
    return file_of(Recording(np.zeros((2, 1000)), ("I", "II"), 100.0, begin, "B-17", {}))


def begin_of(package: Package) -> tuple[int | None, int]:
    (group,) = [r for r in package.records if isinstance(r, WaveformGroup)]
    return group.times.corrected_ns, group.times.uncertainty_ns


def told(package: Package) -> list[DeviceEvent]:
    return [r for r in package.records if isinstance(r, DeviceEvent) and r.code == EVT_CLOCK_WRONG]


@pytest.mark.parametrize("later_ns", [0, NS_PER_S, 3600 * NS_PER_S, OLDEST_NS])
def test_a_recording_that_ended_before_its_file_came_is_where_the_cart_says(later_ns: int):
    package = read_aecg(cart_file(), "cart-6", END_NS + later_ns)
    assert begin_of(package) == (BEGIN_NS, TRUSTED_NS)
    assert told(package) == []


def test_a_cart_that_is_a_little_ahead_is_believed_and_nothing_was_measured_after_it_came():
    package = read_aecg(cart_file(), "cart-6", BEGIN_NS - 20 * NS_PER_S)
    assert begin_of(package) == (BEGIN_NS - 20 * NS_PER_S, TRUSTED_NS)
    assert told(package) == []


@pytest.mark.parametrize("at_ns", [END_NS - TRUSTED_NS - NS_PER_S, END_NS + OLDEST_NS + NS_PER_S])
def test_a_clock_that_cannot_be_right_is_told_and_the_recording_ends_with_its_arrival(at_ns: int):
    package = read_aecg(cart_file(), "cart-6", at_ns)
    assert begin_of(package) == (at_ns - LASTS_NS, abs(END_NS - at_ns))
    (event,) = told(package)
    assert dict(event.params) == {"device_ns": END_NS, "off_ns": END_NS - at_ns}


def test_a_time_without_an_offset_is_in_the_carts_zone():
    local = cart_file().replace(b"+0000", b"")
    package = read_aecg(local, "cart-6", END_NS, "Asia/Shanghai")
    assert begin_of(package)[0] == BEGIN_NS - 8 * 3600 * NS_PER_S
    assert begin_of(read_aecg(local, "cart-6", END_NS))[0] == BEGIN_NS


def test_the_cart_is_known_by_what_its_file_says_and_the_file_by_its_content():
    first, again = (read_aecg(cart_file(), "cart-6", END_NS + later) for later in (0, NS_PER_S))
    assert first.maker == Maker("Simulated carts", "Cart 12", "SIM-0001", "1.0")
    assert first.recorded
    assert first.identity == again.identity
    other = read_aecg(cart_file(datetime(2026, 3, 15, 14, 31, tzinfo=UTC)), "cart-6", END_NS + 60 * NS_PER_S)
    assert first.identity != other.identity


def test_a_file_that_would_not_go_along_in_one_batch_is_refused_with_its_size():
    with pytest.raises(DecodeError, match=f"at most {MAX_FILE_BYTES} bytes"):
        read_aecg(cart_file() + b" " * MAX_FILE_BYTES, "cart-6", END_NS)


@pytest.mark.recordings("files/aecg")
def test_the_largest_file_of_a_cart_on_the_market_is_read(recordings: Path):
    package = read_aecg((recordings / "files" / "aecg" / "example_aecg.xml").read_bytes(), "cart-6", END_NS)
    assert sum(r.n for r in package.records if isinstance(r, WaveformGroup)) > 0
