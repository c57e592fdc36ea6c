"""Recordings as the product sees them: waveform groups of a second through the whole screening."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from models.evaluation.beats import BY_SYMBOL
from models.evaluation.folder import flutter
from models.evaluation.played import SOURCE, groups
from models.screening import chain
from models.screening.chain import Chain
from models.screening.rhythm import RhythmState
from models.signal.weights import Models
from protocols.ecgfile.wfdb import Annotation, WfdbRecord, read_annotations, read_record
from protocols.record import AlarmCondition


@dataclass(frozen=True)
class Screened:
    """A record through the chain, and its state behind it. `holding`: seconds at the end of each hop, and the codes that hold there."""

    beats_s: tuple[float, ...]
    alarms: tuple[AlarmCondition, ...]
    holding: tuple[tuple[float, frozenset[str]], ...]
    state: Chain


def screen(
    record: WfdbRecord,
    models: Models | None = None,
    from_s: float = 0,
    to_s: float | None = None,
    state: Chain | None = None,
) -> Screened:
    """Play a stretch of a record through the whole chain, as fast as it goes; `state`: it goes on from there."""
    state = state or chain.begin(models=models)
    alarms: list[AlarmCondition] = []
    holding: list[tuple[float, frozenset[str]]] = []
    beats: set[int] = set()
    for group in groups(record, from_s, to_s):
        state, out = chain.step(state, group)
        alarms += [r for r in out if isinstance(r, AlarmCondition)]
        watch = state.rhythm.watches[SOURCE]
        for hop in watch.newest:
            beats.update(watch.base + at for at in hop.finding.beats)
            holding.append(((watch.base + hop.finding.end) / record.fs_hz, hop.holding))
    return Screened(tuple(b / record.fs_hz for b in sorted(beats)), tuple(alarms), tuple(holding), state)


def forgetting(state: Chain) -> Chain:
    """The same state, but no rhythm holds in it and none has faded: what is lethal from here on is found so anew."""
    watch = replace(state.rhythm.watches[SOURCE], holding=frozenset(), faded=None)
    return replace(state, rhythm=RhythmState(MappingProxyType({SOURCE: watch})))


@lru_cache(maxsize=1)
def load(recordings: Path, name: str) -> tuple[WfdbRecord, tuple[Annotation, ...]]:
    """Signals and annotations of `mitdb/100` and the like."""
    return read_record(recordings / name), read_annotations(recordings / name)


def reference_beats(fs_hz: float, annotations: tuple[Annotation, ...]) -> tuple[list[float], list[tuple[float, float]]]:
    """Times of the beats, and the stretches of ventricular flutter that EC57 leaves out (`[` to `]`)."""
    beats = [a.sample / fs_hz for a in annotations if a.symbol in BY_SYMBOL]
    return beats, flutter(fs_hz, annotations)


def rhythms(fs_hz: float, n: int, annotations: tuple[Annotation, ...]) -> list[tuple[float, float, str]]:
    """Start, end and name of each annotated rhythm, seconds."""
    marks = [(a.sample / fs_hz, a.aux[1:]) for a in annotations if a.aux.startswith("(")]
    ends = [at for at, _ in marks[1:]] + [n / fs_hz]
    return [(at, end, name) for (at, name), end in zip(marks, ends, strict=True)]
