"""Figures `codec` and `codec-speed`: bits a sample of all of mitdb, lossless, and CPU each way against FLAC -5 in the same process."""

import io
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from models.training.corpus import DS1, DS2, PACED
from protocols import codec
from protocols.codec import Samples
from protocols.ecgfile.wfdb import read_record
from tests.figures.entry import Entry, Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 216_000  # ten minutes, as the store seals
RUNS = 3
SIZE_GOAL, SPEED_GATE = 3.8, 0.2
FLAC_LEVEL = 5 / 8  # libsndfile counts from 0 to 1
Result = TypeVar("Result")
Speeds: TypeAlias = "NDArray[np.float64]"


def measure(recordings: Path) -> Sequence[Entry]:
    """All 48 records, 30 minutes of two leads each."""
    names = sorted(DS1 + DS2 + PACED)
    records = {name: np.ascontiguousarray(read_record(recordings / "mitdb" / name).raw, "<i2") for name in names}
    assert len(records) == 48
    samples = sum(record.size for record in records.values())
    is_reference_here = find_spec("soundfile") is not None
    _ours(records["100"])
    if is_reference_here:
        _flac(records["100"])
    bits = dict.fromkeys(names, 0)
    ours: list[Speeds] = []
    flac: list[Speeds] = []
    flac_bits = 0
    for _ in range(RUNS):
        spent, its = np.zeros(2), np.zeros(2)
        flac_bits = 0
        for name, record in records.items():
            bits[name], *seconds = _ours(record)
            spent += seconds
            if is_reference_here:
                size, *seconds = _flac(record)
                flac_bits += size
                its += seconds
        ours.append(samples / spent)
        flac.append(samples / its if is_reference_here else np.full(2, np.inf))
    value = sum(bits.values()) / samples
    deflated = sum(8 * len(codec.encode(b, among=codec.SENT)[1]) for r in records.values() for b in _blocks(r))
    unseen = [name for name in names if name not in DS1]
    there, back = (median(float(mine[way] / its[way]) for mine, its in zip(ours, flac, strict=True)) for way in (0, 1))
    slower = [round(float((mine / its).min()), 3) for mine, its in zip(ours, flac, strict=True)]
    missing = "" if is_reference_here else "not run: FLAC; the package soundfile (extra dev) is missing"
    reference = f"FLAC -5 (libsndfile): {flac_bits / samples:.3f} b" if is_reference_here else "FLAC -5"
    return [
        Entry(
            id="codec", group="signal", value=round(value, 4), unit="bits a sample", gate=4.3, goal=SIZE_GOAL, reference=reference,
            higher_is_better=False, n=len(names), interval=None,
            details={
                "bits a sample without DS1": round(sum(bits[n] for n in unseen) / sum(records[n].size for n in unseen), 4),
                "bits a sample of each record": f"{min(_of(records, bits)):.2f} to {max(_of(records, bits)):.2f}",
                "bits a sample, FLAC -5": round(flac_bits / samples, 4) if is_reference_here else missing,
                "bits a sample, deflated differences": round(deflated / samples, 4),
            },
        ),
        Entry(
            id="codec-speed", group="signal", value=median(slower), unit="of FLAC -5, slower way", gate=SPEED_GATE,
            goal=SPEED_GATE if value <= SIZE_GOAL else 1, reference="libFLAC by soundfile, level 5, 16 bits, 2 channels",
            higher_is_better=True, n=RUNS, interval=(min(slower), max(slower)), note=missing,
            details={
                "there, of FLAC's": round(there, 3),
                "back, of FLAC's": round(back, 3),
                "million samples a CPU second, there and back": [round(float(x) / 1e6, 1) for x in np.median(ours, axis=0)],
                "the same of FLAC": [round(float(x) / 1e6, 1) for x in np.median(flac, axis=0)] if is_reference_here else missing,
            },
        ),
    ]  # fmt: skip


def _of(records: dict[str, Samples], bits: dict[str, int]) -> list[float]:
    return [bits[name] / record.size for name, record in records.items()]


def _blocks(record: Samples) -> list[Samples]:
    return [np.ascontiguousarray(record[:, at : at + BLOCK]) for at in range(0, record.shape[1], BLOCK)]


def _timed(do: Callable[[], Result]) -> tuple[Result, float]:
    start = process_time()
    done = do()
    return done, process_time() - start


def _ours(record: Samples) -> tuple[int, float, float]:
    """Bits, and CPU seconds there and back; what comes back must be what went in."""
    bits, there, back = 0, 0.0, 0.0
    for block in _blocks(record):
        leads, n = block.shape
        (number, data), seconds = _timed(lambda block=block: codec.encode(block))
        there += seconds
        decoded, seconds = _timed(
            lambda number=number, data=data, leads=leads, n=n: codec.decode(number, data, leads=leads, n=n, dtype="<i2")
        )
        back += seconds
        assert np.array_equal(decoded, block)
        bits += 8 * len(data)
    return bits, there, back


def _flac(record: Samples) -> tuple[int, float, float]:
    """The same by libFLAC, the whole record in memory."""
    import soundfile

    frames = np.ascontiguousarray(record.T)
    file = io.BytesIO()
    _, there = _timed(
        lambda: soundfile.write(file, frames, 360, format="FLAC", subtype="PCM_16", compression_level=FLAC_LEVEL)
    )
    data = file.getvalue()
    (decoded, _), back = _timed(lambda: soundfile.read(io.BytesIO(data), dtype="int16"))
    assert np.array_equal(decoded, frames)
    return 8 * len(data), there, back


FIGURES = (Figure("codec", "signal", measure, ("mitdb",), cached=False, yields=("codec", "codec-speed")),)
