"""Cut the excerpts in this folder from full recordings, with the `wfdb` package: `python tests/captures/make_excerpts.py DIR`.

DIR holds `mitdb/` and `vfdb/`. The excerpts are kept in the tree so that a clone that stands alone can be tested and shown.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wfdb


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a full record, in seconds from its start."""

    name: str
    record: str
    from_s: float
    to_s: float


def excerpts(recordings: Path) -> list[Excerpt]:
    onset = next(
        sample / 250
        for sample, text in zip(*_annotated(recordings / "vfdb" / "419"), strict=True)
        if text.startswith("(VFL") and sample / 250 > 500
    )
    return [
        Excerpt("vfdb-419-vf", "vfdb/419", onset - 60, onset + 200),
        Excerpt("mitdb-100-normal", "mitdb/100", 0, 120),
    ]


def _annotated(path: Path) -> tuple[list[int], list[str]]:
    annotation: Any = wfdb.rdann(str(path), "atr")
    return annotation.sample.tolist(), annotation.aux_note


def write(recordings: Path, excerpt: Excerpt, folder: Path) -> None:
    path = str(recordings / excerpt.record)
    header: Any = wfdb.rdheader(path)
    fs_hz: float = header.fs
    first, last = round(excerpt.from_s * fs_hz), round(excerpt.to_s * fs_hz)
    record: Any = wfdb.rdrecord(path, sampfrom=first, sampto=last, physical=False)
    wfdb.wrsamp(
        excerpt.name,
        fs=fs_hz,
        units=record.units,
        # vfdb calls both signals ECG; the package wants names that differ.
        sig_name=[
            f"{name}{i}" if record.sig_name.count(name) > 1 else name for i, name in enumerate(record.sig_name, 1)
        ],
        d_signal=record.d_signal,
        fmt=["212"] * record.n_sig,
        adc_gain=record.adc_gain,
        baseline=record.baseline,
        comments=[f"{excerpt.record}, samples {first} to {last}; see ATTRIBUTION.md"],
        write_dir=str(folder),
    )
    annotation: Any = wfdb.rdann(path, "atr", sampfrom=first, sampto=last, shift_samps=True)
    samples, symbols, aux = annotation.sample.tolist(), list(annotation.symbol), list(annotation.aux_note)
    if not samples or samples[0] > 0:
        # The rhythm that was going on when the excerpt begins.
        before, texts = _annotated(Path(path))
        rhythm = next((t for s, t in zip(reversed(before), reversed(texts), strict=True) if s <= first and t), "")
        if rhythm:
            samples, symbols, aux = [0, *samples], ["+", *symbols], [rhythm, *aux]
    wfdb.wrann(
        excerpt.name,
        "atr",
        sample=np.array(samples),
        symbol=symbols,
        aux_note=aux,
        fs=fs_hz,
        write_dir=str(folder),
    )


def main() -> None:
    recordings, folder = Path(sys.argv[1]), Path(__file__).parent
    for excerpt in excerpts(recordings):
        write(recordings, excerpt, folder)


if __name__ == "__main__":
    main()
