"""The table of readings through every format of the message doors, decoded in this process."""

import math

import numpy as np
import pytest

from edge.doors.readers import readers
from protocols.errors import Fault
from protocols.record import Observation, Record, SourcePath, Times, WaveformGroup
from tests.conformance.formats import WRITERS, carries
from tests.conformance.readings import READINGS, Reading, Wave

AT_NS = 1_773_556_300 * 10**9
READERS = readers({})
BOTH = [(m, r) for m in WRITERS for r in READINGS if carries(m, r)]


def check(reading: Reading, record: Record) -> None:
    """Whether a record is the one that the table asks for."""
    assert reading.expected is not None
    assert record.source == SourcePath("monitor-5", tuple(reading.path.split("/")))
    assert record.times == Times(AT_NS, reading.device_ns)
    if isinstance(reading.value, Wave):
        wave = reading.value
        assert isinstance(record, WaveformGroup)
        assert (record.leads, record.fs_hz, record.first_sample) == ((reading.code,), wave.fs_hz, wave.first_sample)
        assert record.array().tolist() == [list(wave.samples)]
        (scale,) = record.scales
        assert (scale.gain, scale.offset, scale.unit) == (reading.gain, *reading.expected)
        return
    assert isinstance(record, Observation)
    assert (record.code, record.value, record.unit) == (reading.code, *reading.expected)
    assert (record.site, record.comparator, record.coded) == (reading.site, reading.comparator, reading.coded)


@pytest.mark.req("IOT-5.4d", surface="protocol")
@pytest.mark.parametrize(("media_type", "reading"), BOTH, ids=lambda v: v.name if isinstance(v, Reading) else str(v))
def test_the_same_reading_is_the_same_record_in_every_format(media_type: str, reading: Reading):
    package = READERS[media_type](WRITERS[media_type]("monitor-5", 7, [reading]), AT_NS)
    assert (package.device, package.number) == ("monitor-5", 7)
    assert package.maker is not None
    assert package.maker.serial == "0007"
    (record,) = package.records
    if reading.expected is None:
        assert isinstance(record, Fault)
        assert reading.because in str(record)
    else:
        assert not isinstance(record, Fault), str(record)
        check(reading, record)


@pytest.mark.parametrize("media_type", WRITERS)
def test_one_bad_reading_spoils_no_other(media_type: str):
    chosen = [r for r in READINGS if carries(media_type, r)]
    package = READERS[media_type](WRITERS[media_type]("monitor-5", 8, chosen), AT_NS)
    faults = [r for r in package.records if isinstance(r, Fault)]
    assert len(package.records) == len(chosen)
    assert len(faults) == sum(r.expected is None for r in chosen)


def test_the_table_is_what_the_requirement_asks_for():
    assert len(READINGS) >= 20
    assert len({r.name for r in READINGS}) == len(READINGS)
    numbers = [r.value for r in READINGS if isinstance(r.value, float)]
    assert any(math.isnan(n) for n in numbers)
    assert np.inf in numbers
    assert -np.inf in numbers
