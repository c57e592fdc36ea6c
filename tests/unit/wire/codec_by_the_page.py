"""A decoder of codec INTERPOLATION written from docs/reference/codec.md alone, in plain Python: no line of it is ours to reuse.

It stands for whoever has the page and not our program, nor pcodec. Slow, and it trusts its input.
"""

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bits:
    """Little-endian bits of bytes."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._at = 0

    def take(self, count: int) -> int:
        found = self._value >> self._at & (1 << count) - 1
        self._at += count
        return found

    @property
    def bytes_taken(self) -> int:
        return -(-self._at // 8)


def entropy_decoded(stream: bytes, count: int, width: int) -> list[int]:
    """Values of a stream: chunk metadata, then a page."""
    bits = 8 * width
    meta = Bits(stream)
    assert (meta.take(4), meta.take(4)) == (0, 0)
    size_log, n_bins = meta.take(4), meta.take(15)
    bins = [(meta.take(size_log) + 1, meta.take(bits) - (1 << bits - 1), meta.take(bits.bit_length())) for _ in range(n_bins)]  # fmt: skip
    size = 1 << size_log
    assert sum(weight for weight, _, _ in bins) == size
    stride = 3 * size // 5 | 1
    owner = [0] * size
    owned = [number for number, (weight, _, _) in enumerate(bins) for _ in range(weight)]
    for step, number in enumerate(owned):
        owner[step * stride % size] = number
    count_of = [weight for weight, _, _ in bins]
    table: list[tuple[int, int, int]] = []
    for number in owner:
        read = size_log - (count_of[number].bit_length() - 1)
        table.append((number, (count_of[number] << read) - size, read))
        count_of[number] += 1
    page = Bits(stream[meta.bytes_taken :])
    states = [page.take(size_log) for _ in range(4)]
    page = Bits(stream[meta.bytes_taken + page.bytes_taken :])
    values: list[int] = []
    while len(values) < count:
        batch: list[int] = []
        for i in range(min(256, count - len(values))):
            number, base, read = table[states[i % 4]]
            states[i % 4] = base + page.take(read)
            batch.append(number)
        values += [bins[number][1] + page.take(bins[number][2]) for number in batch]
    return values


def wrapped(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def decode(data: bytes, leads: int, n: int, width: int) -> list[list[int]]:
    """Samples of each lead; `width` bytes each."""
    version, levels, flags, pco_format, check = struct.unpack_from("<BBB2sI", data)
    assert (version, pco_format) == (1, b"\4\1")
    assert check == zlib.crc32(struct.pack("<HIB", leads, n, width) + data[:5] + bytes(4) + data[9:])
    at = 9
    taps: list[list[list[int]]] = []
    for _ in range(levels):
        sets = [struct.unpack_from("<3h", data, at + 6 * row) for row in range(leads if flags & 1 else 1)]
        at += 6 * len(sets)
        taps.append([[2048 - sum(others), *others] for others in sets])
    references: list[list[tuple[int, int]]] = []
    for _ in range(leads):
        references.append([struct.unpack_from("<Bb", data, at + 1 + 2 * i) for i in range(data[at])])
        at += 1 + 2 * data[at]
    kind = "<h" if width == 2 else "<i"
    first = [struct.unpack_from(kind, data, at + width * lead)[0] for lead in range(leads)]
    at += width * leads

    def samples_of(level: int) -> int:
        """How many of n have numbers that are multiples of 2^level."""
        return (n + (1 << level) - 1) >> level

    counts = [samples_of(levels) - 1, *(samples_of(k - 1) - samples_of(k) for k in range(levels, 0, -1))]
    numbers = Bits(data[at:])
    rows = [(numbers.take(4), count) for count in counts for _ in range(leads)]
    at += numbers.bytes_taken
    streams: dict[int, Iterator[int]] = {}
    for number in range(16):
        length = sum(count for mine, count in rows if mine == number)
        if length:
            (size,) = struct.unpack_from("<I", data, at)
            streams[number] = iter(entropy_decoded(data[at + 4 : at + 4 + size], length, width))
            at += 4 + size
    assert at == len(data)
    residuals = [next(streams[number]) for number, count in rows for _ in range(count)]

    left_over: Iterator[int] = iter(residuals)
    bits, work = 8 * width, 16 * width
    known: list[list[int]] = []
    remains: list[list[int]] = []
    for lead in range(leads):
        row: list[int] = [first[lead]]
        remain: list[int] = []
        for i in range(counts[0]):
            more = sum(weight * remains[other][i] for other, weight in references[lead])
            predicted = wrapped((wrapped(more, work) >> 6) + 2048, work) >> 12
            difference = wrapped(predicted + next(left_over), bits)
            remain.append(wrapped(difference << 12, work))
            row.append(wrapped(row[-1] + difference, bits))
        remains.append(remain)
        known.append(row)
    for level, count in enumerate(counts[1:]):
        rows = [[next(left_over) for _ in range(count)] for _ in range(leads)]
        remains = []
        finer: list[list[int]] = []
        for lead in range(leads):
            tap = taps[level][lead if flags & 1 else 0]
            around = [known[lead][0]] * 3 + known[lead] + [known[lead][-1]] * 4
            found: list[int] = []
            remain = []
            for i in range(count):
                own = sum(tap[k] * (around[3 + i - k] + around[4 + i + k]) for k in range(4))
                more = sum(weight * remains[other][i] for other, weight in references[lead])
                predicted = wrapped(own + (wrapped(more, work) >> 6) + 2048, work) >> 12
                found.append(wrapped(predicted + rows[lead][i], bits))
                remain.append(wrapped((found[-1] << 12) - own, work))
            remains.append(remain)
            merged = [0] * (len(known[lead]) + count)
            merged[::2], merged[1::2] = known[lead], found
            finer.append(merged)
        known = finer
    return known
