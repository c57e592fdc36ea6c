"""Cut the excerpts in this folder from full recordings, with the `wfdb` package: `python tests/captures/make_excerpts.py DIR`.

DIR holds `mitdb/`, `vfdb/`, `cinc2015/`, `ecg12/`, `ludb/` and `bidmc/`. The excerpts are kept in the tree so that a clone that
stands alone can be tested and shown.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

BIDMC_HZ = 125
BIDMC_COUNTS_PER_UNIT = 2000.0  # its text files give 8-bit levels: 0.0039 of a unit


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a full record, in seconds from its start; `signals`: names to keep, all unless given."""

    name: str
    record: str
    from_s: float
    to_s: float
    storage: str = "212"
    annotators: tuple[str, ...] = ("atr",)
    signals: tuple[str, ...] = ()


def excerpts(recordings: Path) -> list[Excerpt]:
    onset = next(
        sample / 250
        for sample, text in zip(*_annotated(recordings / "vfdb" / "419"), strict=True)
        if text.startswith("(VFL") and sample / 250 > 500
    )
    return [
        Excerpt("vfdb-419-vf", "vfdb/419", onset - 60, onset + 200),
        Excerpt("mitdb-100-normal", "mitdb/100", 0, 120),
        Excerpt("mitdb-200-bigeminy", "mitdb/200", 30, 150),
        Excerpt("mitdb-205-vt", "mitdb/205", 240, 360),
        Excerpt("mitdb-202-af", "mitdb/202", 1080, 1260),
        Excerpt("cinc2015-f545l-vf", "cinc2015/f545l", 0, 150, "16", (), ("II", "V", "PLETH")),
        Excerpt("cinc2015-a306s-artefact", "cinc2015/a306s", 270, 300, "16", (), ("II", "V", "PLETH")),
        Excerpt("cinc2015-a372s-asystole", "cinc2015/a372s", 270, 300, "16", (), ("II", "V", "PLETH")),
        Excerpt("ecg12-A0005-pvc", "ecg12/A0005", 0, 25, "16", ()),
        Excerpt("ludb-101-af", "ludb/101", 0, 10, "16", ("ii",)),
    ]


def _annotated(path: Path) -> tuple[list[int], list[str]]:
    annotation: Any = wfdb.rdann(str(path), "atr")
    return annotation.sample.tolist(), annotation.aux_note


def write(recordings: Path, excerpt: Excerpt, folder: Path) -> None:
    path = str(recordings / excerpt.record)
    header: Any = wfdb.rdheader(path)
    fs_hz: float = header.fs
    first, last = round(excerpt.from_s * fs_hz), round(excerpt.to_s * fs_hz)
    chosen = list(excerpt.signals) or None
    record: Any = wfdb.rdrecord(path, sampfrom=first, sampto=last, physical=False, channel_names=chosen)
    wfdb.wrsamp(
        excerpt.name,
        fs=fs_hz,
        units=record.units,
        # vfdb calls both signals ECG; the package wants names that differ.
        sig_name=[
            f"{name}{i}" if record.sig_name.count(name) > 1 else name for i, name in enumerate(record.sig_name, 1)
        ],
        d_signal=record.d_signal,
        fmt=[excerpt.storage] * record.n_sig,
        adc_gain=record.adc_gain,
        baseline=record.baseline,
        comments=[f"{excerpt.record}, samples {first} to {last}; see ATTRIBUTION.md"],
        write_dir=str(folder),
    )
    for annotator in excerpt.annotators:
        _write_annotations(path, excerpt.name, annotator, (first, last), fs_hz, folder)


def _write_annotations(
    path: str, name: str, annotator: str, stretch: tuple[int, int], fs_hz: float, folder: Path
) -> None:
    first, last = stretch
    annotation: Any = wfdb.rdann(path, annotator, sampfrom=first, sampto=last, shift_samps=True)
    samples, symbols, aux = annotation.sample.tolist(), list(annotation.symbol), list(annotation.aux_note)
    if annotator == "atr" and (not samples or samples[0] > 0):
        # The rhythm that was going on when the excerpt begins.
        before, texts = _annotated(Path(path))
        rhythm = next((t for s, t in zip(reversed(before), reversed(texts), strict=True) if s <= first and t), "")
        if rhythm:
            samples, symbols, aux = [0, *samples], ["+", *symbols], [rhythm, *aux]
    wfdb.wrann(
        name,
        annotator,
        sample=np.array(samples),
        symbol=symbols,
        aux_note=aux,
        fs=fs_hz,
        write_dir=str(folder),
    )


def write_bidmc(recordings: Path, patient: str, name: str, stretch_s: tuple[int, int], folder: Path) -> None:
    """Signals as a WFDB record, numerics as the CSV that they came in, with seconds from the excerpt's begin."""
    first_s, last_s = stretch_s
    with (recordings / "bidmc" / f"bidmc_{patient}_Signals.csv").open(newline="", encoding="utf-8") as file:
        header = [cell.strip() for cell in next(csv.reader(file))]
        levels = np.loadtxt(file, delimiter=",", usecols=[header.index(s) for s in ("II", "PLETH", "RESP")])
    cut = levels[first_s * BIDMC_HZ : last_s * BIDMC_HZ]
    wfdb.wrsamp(
        name,
        fs=BIDMC_HZ,
        units=["mV", "NU", "NU"],
        sig_name=["II", "PLETH", "RESP"],
        d_signal=np.rint(cut * BIDMC_COUNTS_PER_UNIT).astype(np.int64),
        fmt=["16"] * 3,
        adc_gain=[BIDMC_COUNTS_PER_UNIT] * 3,
        baseline=[0] * 3,
        comments=[f"bidmc_{patient}, {first_s} s to {last_s} s; see ATTRIBUTION.md"],
        write_dir=str(folder),
    )
    with (
        (recordings / "bidmc" / f"bidmc_{patient}_Numerics.csv").open(newline="", encoding="utf-8") as source,
        (folder / f"{name}.numerics.csv").open("w", newline="", encoding="utf-8") as target,
    ):
        writer = csv.writer(target, lineterminator="\n")
        rows = csv.reader(source)
        next(rows)
        writer.writerow(["seconds", "HR", "PULSE", "RESP", "SpO2"])
        for second, *values in rows:
            if first_s <= int(float(second)) < last_s:
                writer.writerow([int(float(second)) - first_s, *(v.strip().replace("NaN", "") for v in values)])


def main() -> None:
    recordings, folder = Path(sys.argv[1]), Path(__file__).parent
    for excerpt in excerpts(recordings):
        write(recordings, excerpt, folder)
    write_bidmc(recordings, "11", "bidmc-11-desaturation", (100, 400), folder)


if __name__ == "__main__":
    main()
