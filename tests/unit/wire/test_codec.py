"""The waveform codec: what goes in comes out, and nothing that comes in from outside can hurt."""

import zlib
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import codec
from protocols.codec import Samples
from protocols.errors import DecodeError

DTYPES = st.sampled_from(["<i2", "<i4"])
SHAPES = st.tuples(st.integers(1, 12), st.integers(0, 300))


@given(DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
def test_any_samples_come_back_as_they_went_in(samples: Samples):
    number, data = codec.encode(samples)
    leads, n = samples.shape
    back = codec.decode(number, data, leads=leads, n=n, dtype=samples.dtype.str)
    assert back.dtype == samples.dtype
    assert np.array_equal(back, samples)
    assert len(data) <= samples.nbytes


@pytest.mark.parametrize("dtype", ["<i2", "<i4"])
def test_the_extremes_of_the_type_survive_their_differences(dtype: str):
    limits = np.iinfo(dtype)
    samples = np.tile(np.array([limits.min, limits.max], dtype), (3, 200))
    number, data = codec.encode(samples)
    assert number == codec.DELTA_DEFLATE
    assert np.array_equal(codec.decode(number, data, leads=3, n=400, dtype=dtype), samples)


def test_a_slow_signal_takes_less_than_half_and_noise_is_left_as_it_is():
    t = np.arange(2500) / 250
    slow = (1000 * np.sin(2 * np.pi * t)).astype("<i2")[None]
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, (1, 2500)).astype("<i2")
    assert len(codec.encode(slow)[1]) < slow.nbytes / 2
    assert codec.encode(noise) == (codec.RAW, noise.tobytes())


def test_big_endian_and_strided_arrays_are_the_same_samples():
    samples = np.arange(600, dtype="<i2").reshape(2, 300)
    assert codec.encode(samples.astype(">i2")) == codec.encode(samples)
    assert codec.encode(np.asfortranarray(samples)) == codec.encode(samples)


def test_decoded_samples_cannot_be_changed():
    number, data = codec.encode(np.zeros((1, 100), "<i2"))
    with pytest.raises(ValueError, match="read-only"):
        codec.decode(number, data, leads=1, n=100, dtype="<i2")[0, 0] = 1


@given(st.sampled_from([0, 1, 2, 99]), st.binary(max_size=200), st.integers(-1, 40), st.integers(-1, 400), DTYPES)
def test_any_bytes_decode_or_raise_a_decode_error(number: int, data: bytes, leads: int, n: int, dtype: str):
    try:
        samples = codec.decode(number, data, leads=leads, n=n, dtype=dtype)
    except DecodeError:
        return
    assert samples.shape == (leads, n)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_other_samples_or_a_decode_error(at: int, value: int):
    samples = (np.arange(500, dtype="<i4") ** 2 % 997).astype("<i4")[None]
    number, data = codec.encode(samples)
    changed = bytearray(data)
    changed[at % len(changed)] = value
    try:
        back = codec.decode(number, bytes(changed), leads=1, n=500, dtype="<i4")
    except DecodeError:
        with pytest.raises(DecodeError):
            codec.check(number, bytes(changed), leads=1, n=500, dtype="<i4")
        return
    assert back.shape == (1, 500)
    codec.check(number, bytes(changed), leads=1, n=500, dtype="<i4")


@pytest.mark.parametrize(
    ("leads", "n", "data", "found"),
    [
        (1, 2**31, b"", "2147483648"),
        (257, 1, b"", "257"),
        (1, 10, zlib.compress(bytes(20))[2:-4][:-2], "it ends early"),
        (1, 9, zlib.compress(bytes(20))[2:-4], "more"),
        (1, 11, zlib.compress(bytes(20))[2:-4], "20"),
        (1, 10, zlib.compress(bytes(20))[2:-4] + b"x", "1 bytes"),
        (1, 10, zlib.compress(bytes(10_000_000))[2:-4], "more"),
    ],
)
def test_counts_that_are_not_those_of_the_data_are_refused(leads: int, n: int, data: bytes, found: str):
    for reads in (codec.decode, codec.check):
        with pytest.raises(DecodeError) as caught:
            reads(codec.DELTA_DEFLATE, data, leads=leads, n=n, dtype="<i2")
        assert found in caught.value.found


def test_samples_of_another_type_are_refused_before_anything_is_written():
    with pytest.raises(ValueError, match="expected <i2 or <i4"):
        codec.encode(cast("Samples", np.zeros((1, 10))))
