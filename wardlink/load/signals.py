"""What the beds of a load send: committed recordings as an amplifier would group them, and the numbers of a monitor once a second."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import lead
from protocols.record import NS_PER_S, Observation, Quality, Record, Scale, SourcePath, Times, WaveformGroup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORDINGS: Final = ("mitdb-100-normal", "mitdb-200-bigeminy", "mitdb-202-af", "mitdb-205-vt", "vfdb-419-vf")
NUMBERS: Final = "bidmc-11-desaturation.numerics.csv"
GROUPS_A_S: Final = 5
_LEADS = (lead("II"), lead("V1"))
_CODES = {"HR": ("MDC_ECG_HEART_RATE", "/min"), "SpO2": ("MDC_PULS_OXIM_SAT_O2", "%"), "RESP": ("MDC_TTHOR_RESP_RATE", "/min")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recording:
    """`counts`: int16, shape (2, n); a step is `gains` of a microvolt."""

    fs_hz: int
    counts: "NDArray[np.int16]"
    gains: tuple[float, float]


def load_recordings(captures: Path) -> list[Recording]:
    """The excerpts of `captures`; FileNotFoundError where one is missing."""
    found: list[Recording] = []
    for name in RECORDINGS:
        record = read_record(captures / name)
        gains = tuple(1000.0 / signal.gain for signal in record.header.signals[:2])
        found.append(Recording(round(record.fs_hz), record.raw[:2].astype("<i2"), (gains[0], gains[1])))
    return found


def load_numbers(captures: Path) -> list[dict[str, float]]:
    """A row for each second."""
    with (captures / NUMBERS).open(encoding="ascii", newline="") as file:
        return [{name: float(row[name]) for name in _CODES if row.get(name)} for row in csv.DictReader(file)]


@dataclass
class Bed:
    """A simulated device. `samples`: how many it has sent of its ECG, `readings`: how many numbers."""

    device: str
    recording: Recording
    numbers: list[dict[str, float]]
    at: int  # where in the recording it begins
    turn: int = 0
    samples: int = 0
    readings: int = 0

    def __post_init__(self) -> None:
        """Nothing is sent yet."""
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of the samples that it has sent, in hexadecimal digits; of each sample lead after lead, 16 bits little-endian."""
        return self._digest.hexdigest()

    @property
    def ecg(self) -> SourcePath:
        """The source of its samples."""
        return SourcePath(self.device, ("ecg",))

    def next(self, now_ns: int) -> Iterator[Record]:
        """What came in the fifth of a second that ends now."""
        recording = self.recording
        n = recording.fs_hz // GROUPS_A_S
        places = [(self.at + self.samples + i) % recording.counts.shape[1] for i in range(n)]
        samples = recording.counts[:, places]
        raw = samples.tobytes()
        self._digest.update(samples.T.tobytes())
        times = Times(now_ns - NS_PER_S // GROUPS_A_S, corrected_ns=now_ns - NS_PER_S // GROUPS_A_S)
        scales = tuple(Scale(gain, 0, "uV") for gain in recording.gains)
        yield WaveformGroup(
            self.ecg, _LEADS, recording.fs_hz, self.samples, raw, "<i2", scales, times, (Quality.GOOD, Quality.GOOD)
        )
        self.samples += n
        self.turn += 1
        if self.turn % GROUPS_A_S == 0:
            for name, value in self.numbers[self.turn // GROUPS_A_S % len(self.numbers)].items():
                code, unit = _CODES[name]
                self.readings += 1
                source = SourcePath(self.device, ("monitor",))
                yield Observation(source, code, value, unit, Times(now_ns, corrected_ns=now_ns))
