"""Codec INTERPOLATION: any samples come back, damaged bytes are refused, and the page says enough to read it without us."""

import re
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import codec, interpolation
from protocols.codec import Samples
from protocols.ecgfile.wfdb import read_record
from protocols.errors import DecodeError
from tests.unit.wire import codec_by_the_page

ROOT = Path(__file__).parents[3]
CAPTURES = ROOT / "tests" / "captures"
PAGE = (ROOT / "docs" / "reference" / "codec.md").read_text()
DTYPES = st.sampled_from(["<i2", "<i4"])
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 130))


def groups(dtype: str) -> st.SearchStrategy[Samples]:
    """Of any values, and of few small ones as signals have them."""
    return hnp.arrays(dtype, SHAPES) | hnp.arrays(dtype, SHAPES, elements=st.integers(-40, 40))


def back(data: bytes, samples: Samples) -> Samples:
    leads, n = samples.shape
    return interpolation.decode(data, leads=leads, n=n, dtype=samples.dtype.str)


def excerpt(name: str, from_sample: int, n: int) -> Samples:
    return np.ascontiguousarray(read_record(CAPTURES / name).raw[:, from_sample : from_sample + n], "<i2")


def with_its_crc(data: bytes, leads: int, n: int, width: int) -> bytes:
    check = zlib.crc32(struct.pack("<HIB", leads, n, width) + data[:5] + bytes(4) + data[9:])
    return data[:5] + struct.pack("<I", check) + data[9:]


def golden() -> tuple[bytes, list[list[int]]]:
    data, samples = re.findall(r"```text\n(.*?)```", PAGE.split("## Golden bytes")[1], flags=re.DOTALL)
    octets = [re.match(r"(?:[0-9a-f]{2} )+", line + " ") for line in data.splitlines()]
    packed = bytes.fromhex("".join(found[0] for found in octets if found))
    return packed, [[int(value) for value in line.split()] for line in samples.splitlines()]


def test_the_golden_bytes_of_the_page_are_read_by_the_product_and_by_the_page():
    data, samples = golden()
    assert np.array_equal(codec.decode(2, data, leads=2, n=5, dtype="<i2"), samples)
    assert codec_by_the_page.decode(data, 2, 5, 2) == samples


@given(DTYPES.flatmap(groups))
@example(np.array([[-(2**31)]], "<i4"))
@example(np.tile(np.array([-(2**31), 2**31 - 1], "<i4"), (4, 33)))
@example(np.tile(np.array([2**15 - 1, -(2**15)], "<i2"), (4, 33)))
@settings(max_examples=60)
def test_any_samples_come_back_and_are_read_by_the_page_too(samples: Samples):
    data = interpolation.encode(samples)
    assert np.array_equal(back(data, samples), samples)
    leads, n = samples.shape
    assert np.array_equal(codec_by_the_page.decode(data, leads, n, samples.itemsize), samples)


@pytest.mark.parametrize(
    ("name", "from_sample", "n", "dtype"),
    [("ludb-101-af", 0, 500, "<i2"), ("ecg12-A0005-pvc", 1000, 301, "<i4"), ("mitdb-100-normal", 0, 7000, "<i2")],
)
def test_real_leads_are_read_by_the_page(name: str, from_sample: int, n: int, dtype: str):
    samples = excerpt(name, from_sample, n).astype(dtype)
    number, data = codec.encode(samples)
    assert number == codec.INTERPOLATION
    leads, n = samples.shape
    assert np.array_equal(codec_by_the_page.decode(data, leads, n, samples.itemsize), samples)
    assert np.array_equal(codec.decode(number, data, leads=leads, n=n, dtype=dtype), samples)


def test_streams_and_taps_a_lead_are_read_by_the_page():
    samples = np.tile(excerpt("mitdb-200-bigeminy", 0, 3000), (1, 6))[:, :17_001]
    samples[1] = np.random.default_rng(1).integers(-9, 9, samples.shape[1])
    data = interpolation.encode(samples)
    assert data[2] == 1
    assert np.array_equal(back(data, samples), samples)
    assert np.array_equal(codec_by_the_page.decode(data, 2, 17_001, 2), samples)


@pytest.mark.parametrize("dtype", ["<i2", "<i4"])
@pytest.mark.parametrize(
    ("leads", "n"), [(1, 2048), (1, 65_537), (2, 16_384), (12, 5000), (256, 128), (256, 1000), (3, 32_769)]
)
def test_shapes_of_every_size_come_back_of_extremes_constants_noise_and_waves(leads: int, n: int, dtype: str):
    limits, chance = np.iinfo(dtype), np.random.default_rng(1)
    wave = (1000 * np.sin(np.arange(n) / 40) * np.arange(1, leads + 1)[:, None]).astype(dtype)
    noise = chance.integers(limits.min, limits.max, (leads, n), dtype, endpoint=True)
    edges = np.where(noise > 0, limits.max, limits.min).astype(dtype)
    for samples in (wave, noise, edges, np.full((leads, n), limits.min, dtype)):
        number, data = codec.encode(samples)
        assert np.array_equal(codec.decode(number, data, leads=leads, n=n, dtype=dtype), samples)
        assert len(data) <= samples.nbytes
    assert codec.encode(noise)[0] == codec.RAW
    number, data = codec.encode(np.full((leads, n), limits.min, dtype))
    assert (number, len(data) < 100 + leads * 100) == (codec.INTERPOLATION, True)


def test_big_endian_and_strided_arrays_are_the_same_samples():
    samples = excerpt("ludb-101-af", 0, 500)
    assert codec.encode(samples.astype(">i2")) == codec.encode(samples)
    assert codec.encode(np.asfortranarray(samples)) == codec.encode(samples)


def test_decoded_samples_cannot_be_changed():
    samples = excerpt("ludb-101-af", 0, 500)
    number, data = codec.encode(samples)
    with pytest.raises(ValueError, match="read-only"):
        codec.decode(number, data, leads=12, n=500, dtype="<i2")[0, 0] = 1


def test_a_reader_that_does_not_know_it_gets_what_it_knows():
    samples = excerpt("ludb-101-af", 0, 500)
    assert codec.encode(samples)[0] == codec.INTERPOLATION
    assert codec.encode(samples, among=codec.SENT)[0] == codec.DELTA_DEFLATE
    assert codec.encode(samples, among={codec.RAW}) == (codec.RAW, samples.tobytes())


def test_leads_that_follow_from_others_are_almost_free():
    first, second = excerpt("mitdb-100-normal", 0, 7200)
    samples = np.stack([first, second, second - first, (first + second) // 2])
    own = len(interpolation.encode(samples[:2]))
    # The third is exact: a bit a sample is what rounding costs the fourth.
    assert len(interpolation.encode(samples[:3])) < 1.05 * own
    assert len(interpolation.encode(samples)) < 1.05 * own + 1.5 * 7200 / 8


@pytest.mark.parametrize("name", ["ludb-101-af", "ecg12-A0005-pvc"])
def test_a_second_of_twelve_leads_takes_less_than_deflated(name: str):
    samples = excerpt(name, 0, 500)
    assert len(codec.encode(samples)[1]) < 0.8 * len(codec.encode(samples, among=codec.SENT)[1])


def test_every_changed_byte_and_every_shorter_message_is_refused():
    samples = excerpt("mitdb-100-normal", 0, 1200)
    number, data = codec.encode(samples)
    assert number == codec.INTERPOLATION
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        for bad in (bytes(changed), data[:at]):
            with pytest.raises(DecodeError):
                back(bad, samples)
    with pytest.raises(DecodeError):
        back(data + b"\0", samples)


@pytest.mark.parametrize(
    ("leads", "n", "dtype"), [(2, 1199, "<i2"), (1, 2400, "<i2"), (2, 600, "<i4"), (3, 1200, "<i2")]
)
def test_the_crc_holds_the_counts_too(leads: int, n: int, dtype: str):
    _, data = codec.encode(excerpt("mitdb-100-normal", 0, 1200))
    with pytest.raises(DecodeError, match="CRC"):
        codec.decode(codec.INTERPOLATION, data, leads=leads, n=n, dtype=dtype)


@given(st.data(), DTYPES, st.integers(1, 4), st.integers(1, 300))
@settings(max_examples=200)
def test_whoever_makes_the_crc_right_gets_samples_or_a_decode_error(
    chance: st.DataObject, dtype: str, leads: int, n: int
):
    made = (np.arange(leads * n) ** 2 % 97).astype(dtype).reshape(leads, n)
    data = bytearray(interpolation.encode(made))
    for _ in range(chance.draw(st.integers(1, 6))):
        data[chance.draw(st.integers(0, len(data) - 1))] = chance.draw(st.integers(0, 255))
    data = data[: chance.draw(st.none() | st.integers(9, len(data)))]
    crafted = with_its_crc(bytes(data), leads, n, made.itemsize)
    try:
        samples = codec.decode(codec.INTERPOLATION, crafted, leads=leads, n=n, dtype=dtype)
    except DecodeError:
        return
    assert samples.shape == (leads, n)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({0: 2}, "version 2"),
        ({1: 16}, "16 levels"),
        ({2: 2}, "flags 2"),
        ({3: 9}, "0901"),
        ({15: 3}, "3"),  # references of lead 0
        ({16: 3}, "3"),
        ({17: 1}, "(1, 64)"),  # lead 1 refers to itself
        ({23: 1}, "8"),  # the differences of lead 0 are in stream 1: stream 0 has two values less
        ({25: 12}, "9"),  # length of the first stream
        ({25: 8}, "pco"),
        ({25: 200}, "24"),
        ({29: 0x10}, "10"),  # pcodec's own differences
        ({29: 0x01}, "01"),  # a mode of two variables
    ],
)
def test_what_the_page_does_not_allow_is_refused_by_name(change: dict[int, int], found: str):
    data = bytearray(golden()[0])
    for at, value in change.items():
        data[at] = value
    with pytest.raises(DecodeError) as caught:
        codec.decode(codec.INTERPOLATION, with_its_crc(bytes(data), 2, 5, 2), leads=2, n=5, dtype="<i2")
    assert found in caught.value.found


@pytest.mark.parametrize(("leads", "n"), [(1, 2**31), (257, 1), (0, 5), (2, -1), (1, 0)])
def test_counts_are_refused_before_anything_is_allocated(leads: int, n: int):
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            codec.decode(codec.INTERPOLATION, golden()[0], leads=leads, n=n, dtype="<i2")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_block_of_ten_minutes_of_twelve_leads_comes_back_in_bounded_memory():
    """7.2 MB of samples. numpy tells tracemalloc what it allocates."""
    samples = np.tile(excerpt("ludb-101-af", 0, 5000), (1, 60))
    number, data = codec.encode(samples)
    assert number == codec.INTERPOLATION
    tracemalloc.start()
    try:
        decoded = codec.decode(number, data, leads=12, n=samples.shape[1], dtype="<i2")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(decoded, samples)
    assert most < 4 * samples.nbytes


@pytest.mark.figure
@pytest.mark.recordings("mitdb")
def test_six_records_keep_the_gate_of_the_figure_codec(recordings: Path):
    """Of DS2, on which nothing was chosen: 4.3 bits a sample. The whole database is `make figures`."""
    bits = count = 0
    for name in ("103", "111", "200", "213", "221", "233"):
        samples = np.ascontiguousarray(read_record(recordings / "mitdb" / name).raw[:, :216_000], "<i2")
        number, data = codec.encode(samples)
        assert np.array_equal(codec.decode(number, data, leads=2, n=216_000, dtype="<i2"), samples)
        bits += 8 * len(data)
        count += samples.size
    assert bits / count <= 4.3
