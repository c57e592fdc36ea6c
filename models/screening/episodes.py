"""What the rhythm did, as episodes: a bigeminy, couplets, runs, pauses, fibrillating atria; no alarms, but what a reader of the bed asks for.

What comes again within `SAME_S` is one episode. Each is told by two events of the device: when it begins, and `SAME_S` behind its end with how
often it came and how long and fast it was. An agent that stops tells no end of those that go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from models.signal.rhythm.atrial import Verdict
from models.signal.rhythm.patterns import Pattern, Seen
from protocols.nomenclature import (
    EVT_ATRIAL_FIB,
    EVT_BIGEMINY,
    EVT_COUPLET,
    EVT_NO_CAPTURE,
    EVT_PAUSE,
    EVT_TRIGEMINY,
    EVT_V_RUN,
)
from protocols.record import NS_PER_S, DeviceEvent, Params, WaveformGroup

SAME_S = 300.0  # a patient with couplets all night is a page of the time-line, not twenty
LASTS_S = 30.0  # atria that fibrillate for less are not called so (2024 ESC guideline for atrial fibrillation, 3.2)
# What is not measured on recordings of patients, or misses its gate (docs/reference/figures/af.md).
EXPERIMENTAL = frozenset({EVT_ATRIAL_FIB, EVT_NO_CAPTURE})
CODES: Mapping[Pattern, str] = MappingProxyType(
    {
        Pattern.BIGEMINY: EVT_BIGEMINY,
        Pattern.TRIGEMINY: EVT_TRIGEMINY,
        Pattern.COUPLET: EVT_COUPLET,
        Pattern.RUN: EVT_V_RUN,
        Pattern.PAUSE: EVT_PAUSE,
        Pattern.NO_CAPTURE: EVT_NO_CAPTURE,
    }
)


@dataclass(frozen=True, slots=True)
class Episode:
    """One that goes on, and whether its beginning was told. `times`: how often it came; the others are the most that was seen."""

    since_ns: int
    last_ns: int
    times: int = 1
    beats: int = 0
    per_min: float = 0.0
    pause_s: float = 0.0
    told: bool = False


Episodes = Mapping[str, Episode]
NO_EPISODES: Episodes = MappingProxyType(dict[str, Episode]())


def step(
    known: Episodes, group: WaveformGroup, base: int, seen: tuple[Seen, ...], atria: tuple[Verdict, ...]
) -> tuple[Episodes, tuple[DeviceEvent, ...]]:
    """Take what was seen in a hop, sample numbers counted from `base` of the source's; events of episodes that begin or have ended."""
    if not (known or seen or atria):
        return known, ()
    now_ns = group.time_of(group.end_sample)
    going = dict(known)
    out: list[DeviceEvent] = []
    for code, one in known.items():
        if now_ns - one.last_ns > SAME_S * NS_PER_S:
            del going[code]
            out += _event(group, code, one, "ended") if one.told else []
    for one in seen:
        begins_ns, ends_ns = group.time_of(base + one.first), group.time_of(base + one.last)
        new = Episode(begins_ns, ends_ns, 1, one.beats, one.per_min or 0.0, one.pause_s or 0.0)
        going[CODES[one.pattern]] = _joined(going.get(CODES[one.pattern]), new)
    for verdict in atria:
        if verdict.fibrillation:
            begins_ns, ends_ns = group.time_of(base + verdict.first), group.time_of(base + verdict.last)
            going[EVT_ATRIAL_FIB] = _joined(going.get(EVT_ATRIAL_FIB), Episode(begins_ns, ends_ns))
    for code, one in going.items():
        if not one.told and one.last_ns - one.since_ns >= _least_ns(code):
            going[code] = replace(one, told=True)
            out += _event(group, code, one, "began")
    return known if going == known else MappingProxyType(going), tuple(out)


def stepped(known: Episodes, by_ns: int) -> Episodes:
    """The gateway's clock was set forward by `by_ns`."""
    moved = {
        code: replace(one, since_ns=one.since_ns + by_ns, last_ns=one.last_ns + by_ns) for code, one in known.items()
    }
    return MappingProxyType(moved)


def _least_ns(code: str) -> float:
    return LASTS_S * NS_PER_S if code == EVT_ATRIAL_FIB else 0.0


def _joined(known: Episode | None, new: Episode) -> Episode:
    """An episode with what was seen now; what has grown since it was seen last has not come again."""
    if known is None:
        return new
    return Episode(
        known.since_ns,
        max(known.last_ns, new.last_ns),
        known.times + (new.since_ns > known.last_ns),
        max(known.beats, new.beats),
        max(known.per_min, new.per_min),
        max(known.pause_s, new.pause_s),
        known.told,
    )


def _event(group: WaveformGroup, code: str, one: Episode, state: str) -> list[DeviceEvent]:
    """An event at its beginning or its end."""
    at_ns = one.since_ns if state == "began" else one.last_ns
    said: Params = (("episode", state), ("since_ns", one.since_ns))
    if state == "ended":
        said = (*said, ("times", one.times))
    said = (*said, *_measured(one), *((("experimental", True),) if code in EXPERIMENTAL else ()))
    return [DeviceEvent(group.source, code, replace(group.times, device_ns=None, corrected_ns=at_ns), said)]


def _measured(one: Episode) -> Params:
    found = (("beats", one.beats), ("beats_per_min", round(one.per_min)), ("pause_s", round(one.pause_s, 1)))
    return tuple((name, value) for name, value in found if value)
