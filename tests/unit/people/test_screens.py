"""What waits for a screen: frames, microvolts, bounded queues, masked names, which leads a bed has."""

import struct
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.placement.domain import PlacedDevice, Point, Ward, age_years, masked, natural
from hub.wards.clients import EventClient, WaveClient
from hub.wards.domain import Link, LinkState, Numeric, Stream, bed_link, lay_out
from protocols.live_frame import gap_frame, samples_frame
from protocols.microvolt import displayed
from protocols.nomenclature import lead
from protocols.record import Scale, SourcePath, Times, WaveformGroup

HEADER = struct.Struct("<BBHIIffIddd")


def group(samples: list[int], scale: Scale, dtype: str = "<i4") -> WaveformGroup:
    raw = np.array([samples], dtype).tobytes()
    return WaveformGroup(SourcePath("d"), (lead("II"),), 250.0, 0, raw, dtype, (scale,), Times(0))


@pytest.mark.parametrize(
    ("scale", "raw", "shown", "step"),
    [
        (Scale(0.5, 0.0, "uV"), [0, 1, 3, -3, 4], [0, 0, 2, -2, 2], 1.0),
        (Scale(0.005, 0.0, "mV"), [200, -200], [1000, -1000], 1.0),
        (Scale(1.0, 100.0, "uV"), [0, 1], [100, 101], 1.0),
        (Scale(1.0, 0.0, "uV"), [8_388_607, -8_388_608], [32767, -32767], 1.0),
        (Scale(0.25, 0.0, "mm[Hg]"), [0, 480], [0, 480], 0.25),
        (Scale(1.0, 0.0, "1"), [0, 32767], [0, 32767], 1.0),
        (
            Scale(1.0, 0.0, "1"),
            [0, 32768, 65535],
            [0, 8192, 16384],
            4.0,
        ),  # an oximeter's 16 bits do not fit at a step of 2
        (Scale(0.5, 0.0, "1"), [2**31 - 1, -(2**31)], [16384, -16384], 0.5 * 2**17),
    ],
)
def test_samples_become_whole_microvolts_and_are_clipped_never_wrapped(
    scale: Scale, raw: list[int], shown: list[int], step: float
):
    samples, steps = displayed(group(raw, scale))
    assert (samples.dtype, samples.tolist(), steps) == (np.dtype("<i2"), [shown], (step,))


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.floats(1e-6, 1e3))
def test_no_sample_becomes_the_mark_of_a_missing_one(raw: list[int], gain: float):
    samples, _ = displayed(group(raw, Scale(gain, 0.0, "uV")))
    assert int(samples.min()) > -32768


def test_a_frame_has_the_layout_of_the_reference():
    frame = samples_frame(7, 2, 250.0, 1.0, 1_700_000_000_123.5, 99, np.array([1, -2], "<i2").tobytes())
    message = frame.numbered(4_294_967_297)  # the number wraps at 32 bits
    assert HEADER.unpack_from(message) == (1, 1, 2, 1, 7, 250.0, 1.0, 2, 1_700_000_000_123.5, 99.0, 0.0)
    assert message[48:] == b"\x01\x00\xfe\xff"
    assert frame.end_ms == frame.t0_ms + 8
    told = samples_frame(7, 2, 250.0, 1.0, 10.0, 99, bytes(2), clock=2**53 + 8).numbered(1)
    assert HEADER.unpack_from(told)[-1] == 8.0, (
        "the clock where a gap has its end, as far as a double tells numbers apart"
    )
    gap = gap_frame(7, 2, 10.0, 20.5, "link_loss").numbered(3)
    assert HEADER.unpack_from(gap) == (1, 2, 2, 3, 7, 0.0, 0.0, 9, 10.0, 0.0, 20.5)
    assert gap[48:] == b"link_loss"


def test_a_slow_screen_loses_the_eldest_and_is_told_so():
    client = WaveClient(1, bound=3)
    for i in range(5):
        client.put(samples_frame(7, i % 2, 1000.0, 1.0, i * 100.0, i, bytes(20)))
    taken = client.take()
    gaps, frames = taken[:2], taken[2:]
    assert [(frame.lead, frame.t0_ms, frame.end_ms) for frame in gaps] == [(0, 0.0, 10.0), (1, 100.0, 110.0)]
    assert all(b"slow_screen" in frame.numbered(0) for frame in gaps)
    assert [frame.t0_ms for frame in frames] == [200.0, 300.0, 400.0]
    assert (client.take(), client.ready.is_set()) == ([], False)


def test_of_numbers_and_links_only_the_newest_waits():
    client = EventClient(1)
    for value in (60, 61):
        client.numeric(7, Numeric("MDC_ECG_HEART_RATE", value, "/min", value, "good"))
    assert [number.value for number in client.numerics.values()] == [61]


WARD = Ward(1, "7b", "7B")
POINT = Point(7, WARD, "1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stream(number: int, source: str, leads: tuple[str, ...], newest: datetime | None, device: int = 5) -> Stream:
    ones = (1.0,) * len(leads)
    return Stream(number, device, source, leads, 250.0, "<i4", ones, (0.0,) * len(leads), ("uV",) * len(leads), newest)


def test_a_bed_has_the_leads_that_its_device_measures_now():
    device = PlacedDevice(5, 7, "cyton-1", "ward3")
    streams = [
        stream(1, "cyton-1/ecg", (lead("I"),), NOW),
        stream(2, "cyton-1/ecg", (lead("V1"), lead("II")), NOW + timedelta(seconds=1)),
        stream(3, "cyton-1/ecg", (lead("III"),), None),
        stream(4, "elsewhere", (lead("I"),), NOW, device=6),
    ]
    bed = lay_out({7: POINT}, [device], streams).beds[7]
    assert [(x.index, x.code) for x in bed.leads] == [(0, lead("V1")), (1, lead("II"))]
    assert bed.indexes("cyton-1/ecg", (lead("II"), lead("I"))) == [1, None]


def test_a_bed_is_as_lost_as_the_worst_of_its_devices():
    devices = [PlacedDevice(5, 7, "a", "g"), PlacedDevice(6, 7, "b", "g")]
    bed = lay_out({7: POINT}, devices, []).beds[7]
    live, silent = Link(LinkState.LIVE, 1, "g", "a"), Link(LinkState.DEVICE_SILENT, 2, "g", "b")
    assert bed_link(bed, {"a": live, "b": silent}) == silent
    assert bed_link(bed, {"a": live}).state is LinkState.NEVER
    assert bed_link(lay_out({7: POINT}, [], []).beds[7], {}).state is LinkState.NEVER


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("王小明", "王**"),
        ("王伟", "王*"),
        ("Wang Xiaoming", "W*** X***"),
        ("Li", "L***"),
        ("", "***"),
        ("欧阳司马诸葛", "欧***"),
    ],
)
def test_a_name_is_masked(name: str, shown: str):
    assert masked(name) == shown


def test_ages_are_completed_years_and_beds_are_in_the_order_of_people():
    today = date(2026, 3, 1)
    assert age_years(date(1959, 3, 1), today) == 67
    assert age_years(date(1959, 3, 2), today) == 66
    assert age_years(date(2030, 1, 1), today) is None
    assert age_years(None, today) is None
    assert sorted(["10", "9", "A2", "A10", "1b"], key=natural) == ["1b", "9", "10", "A2", "A10"]
