"""Plays arrays and records through the chain in groups, and keeps what comes out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.screening import chain
from models.screening.chain import Chain
from protocols.ecgfile.wfdb import WfdbRecord
from protocols.nomenclature import lead
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    Observation,
    Presence,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)

T0 = 1_700_000_000 * NS_PER_S
SOURCE = SourcePath("bed-1-ecg", ("ecg",))
UV = 1e-3


def groups(
    millivolt: NDArray[np.float64], fs_hz: float = 250.0, *, first: int = 0, size: int = 25, late_ns: int = 0
) -> Iterator[WaveformGroup]:
    """Groups of `size` samples at 1 uV a unit, arriving when they were measured (plus `late_ns`)."""
    raw = np.rint(millivolt / UV).astype("<i4")
    leads = (lead("II"), lead("V1"), lead("V5"))[: len(raw)]
    for at in range(0, raw.shape[1], size):
        part = np.ascontiguousarray(raw[:, at : at + size])
        arrival = T0 + round((first + at) / fs_hz * NS_PER_S) + late_ns
        yield WaveformGroup(
            SOURCE, leads, fs_hz, first + at, part.tobytes(), "<i4", (Scale(1.0, 0.0, "uV"),) * len(raw), Times(arrival)
        )


def of_record(record: WfdbRecord, from_s: float = 0, to_s: float | None = None) -> Iterator[WaveformGroup]:
    """A stretch of a WFDB record as groups of 100 ms."""
    last = None if to_s is None else round(to_s * record.fs_hz)
    yield from groups(
        record.physical()[:, round(from_s * record.fs_hz) : last], record.fs_hz, size=round(record.fs_hz / 10)
    )


@dataclass(frozen=True)
class Played:
    """The state at the end and every record that came out."""

    state: Chain
    records: tuple[Record, ...]

    @property
    def alarms(self) -> list[AlarmCondition]:
        return [r for r in self.records if isinstance(r, AlarmCondition)]

    @property
    def rates(self) -> list[Observation]:
        return [r for r in self.records if isinstance(r, Observation)]

    def raised(self, code: str) -> list[AlarmCondition]:
        return [a for a in self.alarms if a.code == code and a.presence is Presence.PRESENT]

    def qualities(self) -> set[Quality]:
        return {q for r in self.records if isinstance(r, WaveformGroup) for q in r.quality}


def play(records: Iterable[Record], state: Chain | None = None) -> Played:
    state = state or chain.begin()
    out: list[Record] = []
    for record in records:
        state, told = chain.step(state, record)
        out += told
    return Played(state, tuple(out))


def seconds(ns: int) -> float:
    """Time since the first sample."""
    return (ns - T0) / NS_PER_S
