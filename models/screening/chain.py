"""The whole screening of one device: align, assess, rhythm, limits, alarms, one record at a time.

A pure step, run live by the gateway and again by the hub: `step(state, record) -> (state, records)`. The records that come
out begin with the one that went in, now aligned and assessed; what was concluded from it follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.screening import alarms, align, assess, held, limits, recent, rhythm, vitals
from models.screening.alarms import AlarmsState, Condition, Life
from models.screening.align import AlignState
from models.screening.assess import AssessState
from models.screening.critical_items import PRIORITIES, Urgency
from models.screening.device_clock import AGREE_NS
from models.screening.held import HeldState
from models.screening.placement import Placement
from models.screening.recent import Pulsing
from models.screening.rhythm import RhythmState
from models.screening.vitals import VitalsState
from models.signal import weights
from protocols.nomenclature import FLOOD, HEART_RATE, LINK_LOST
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    DeviceEvent,
    Observation,
    Quality,
    Record,
    SourcePath,
    WaveformGroup,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from models.screening.placement import Watched
    from models.signal.weights import Models
    from protocols.record import Times

STRIP_S = 10.0
UNNAMED = "?"  # of BEAT_CLASSES: a beat whose next one has yet to come
ECG_WATCHED_NS = 10 * NS_PER_S  # behind its newest sample
KEPT_BACK_NS = AGREE_NS  # older than that at its arrival, a reading is not live


@dataclass(frozen=True, slots=True)
class Chain:
    """State of a device's screening: placement, one state a step, the last ten seconds of each ECG source, and `judged`.

    That is the time of the newest reading of each series with limits. `held`: the pulse beside the ECG, and what it holds back. `vitals`: rates of waves.
    """

    placement: Placement
    models: "Models" = field(repr=False)
    align: AlignState = field(default_factory=AlignState)
    assess: AssessState = field(default_factory=AssessState)
    rhythm: RhythmState = field(default_factory=RhythmState)
    alarms: AlarmsState = field(default_factory=AlarmsState)
    recent: Mapping[SourcePath, tuple[WaveformGroup, ...]] = field(
        default_factory=lambda: MappingProxyType(dict[SourcePath, tuple[WaveformGroup, ...]]())
    )
    judged: Mapping[tuple[SourcePath, str], int] = field(
        default_factory=lambda: MappingProxyType(dict[tuple[SourcePath, str], int]())
    )
    held: HeldState = field(default_factory=HeldState)
    vitals: VitalsState = field(default_factory=VitalsState)


def begin(
    placement: Placement | None = None,
    active: tuple[AlarmCondition, ...] = (),
    models: "Models | None" = None,
    *,
    segments: int = 0,
) -> Chain:
    """State before the first record.

    `active`: alarms of this device that were present or latched when the agent stopped. `models`: others than the
    product's, for held-out figures. `segments`: numbers of clock segments up to this one were given to the device before.
    """
    restored = alarms.restore(active)
    return Chain(placement or Placement(), models or weights.product(), AlignState(segments=segments), alarms=restored)


def configure(state: Chain, placement: Placement) -> Chain:
    """The same state under another placement; conditions are judged by it from the next record on."""
    return replace(state, placement=placement)


def acknowledge(state: Chain, alarm: "UUID", times: "Times") -> tuple[Chain, tuple[Record, ...]]:
    """Somebody at the hub has acknowledged an alarm: a latched one ends."""
    kept, change = alarms.acknowledge(state.alarms, alarm, times)
    return replace(state, alarms=kept), () if change is None else (change,)


def link(
    state: Chain, source: SourcePath, times: "Times", *, lost: bool, since_ns: int = 0, life: Life | None = None
) -> tuple[Chain, tuple[Record, ...]]:
    """Say how the link of a device stands at `times`: lost since `since_ns`, or bringing data. Nobody is watched meanwhile.

    `life`: another than that of a stream of data.
    """
    if not lost and not state.alarms.stands(source, LINK_LOST):
        return state, ()
    condition = Condition(
        source=source,
        code=LINK_LOST,
        present=lost,
        priority=PRIORITIES[Urgency.UNWATCHED],
        kind=AlarmKind.TECHNICAL,
        onset_ns=since_ns,
        at_ns=times.best_ns,
        rule="link",
        life=life,
    )
    state, changes = _settle(state, (condition,), times)
    return state, tuple(changes)


def flood(
    state: Chain, source: SourcePath, times: "Times", *, since_ns: int, holds: bool
) -> tuple[Chain, tuple[Record, ...]]:
    """Say whether a device has sent more than it may since `since_ns`. What it may send is watched as ever."""
    if not holds and not state.alarms.stands(source, FLOOD):
        return state, ()
    condition = Condition(
        source=source,
        code=FLOOD,
        present=holds,
        priority=PRIORITIES[Urgency.IMPAIRED],
        kind=AlarmKind.TECHNICAL,
        onset_ns=since_ns,
        at_ns=times.best_ns,
        rule="pace",
    )
    state, changes = _settle(state, (condition,), times)
    return state, tuple(changes)


def stepped(state: Chain, by_ns: int) -> Chain:
    """Go on behind a step of the gateway's own clock, forward by `by_ns`: no delay of an alarm is longer or shorter for it."""
    return replace(
        state,
        align=align.stepped(state.align, by_ns),
        rhythm=rhythm.stepped(state.rhythm, by_ns),
        alarms=alarms.stepped(state.alarms, by_ns),
        judged=MappingProxyType({series: at_ns + by_ns for series, at_ns in state.judged.items()}),
        held=held.stepped(state.held, by_ns),
        vitals=vitals.stepped(state.vitals, by_ns),
    )


def arrived(state: Chain, message: "Iterable[Record]") -> tuple[Chain, tuple[Record, ...]]:
    """Say what a device sent at once, before its records are stepped through: it tells of the device's clock."""
    aligned, events = align.arrived(state.align, message)
    return _aligned(state, aligned), events


def step(state: Chain, record: Record) -> tuple[Chain, tuple[Record, ...]]:
    """Screen one record: itself as aligned and assessed, then events, observations and changes of alarm conditions.

    What was recorded before and comes as a whole goes through as it is: it says nothing of the patient's state now, nor of a clock's.
    """
    if record.source.is_recorded:
        return state, (record,)
    aligned, records = align.step(state.align, record)
    state = _aligned(state, aligned)
    first = records[0]
    if isinstance(first, WaveformGroup) and assess.is_ecg(first):
        return _ecg(state, first, records[1:])
    if isinstance(first, WaveformGroup):
        state, found = _wave(_beside(state, held.follow(state.held, first)), first)
        return state, (*records, *found) if found else records
    if isinstance(first, Observation):
        known = vitals.said(state.vitals, first)
        reading = vitals.judged(known, first, state.held.pulses)
        state, changes = _reading(_of_vitals(state, known), reading)
        return state, (reading, *records[1:], *changes)
    return state, records


def pulses(state: Chain) -> tuple[Pulsing, ...]:
    """What this device sees of the pulse: its waves that can be used, for other devices of the same point of care."""
    return recent.pulsing(state.held.pulses) if state.held.pulses.waves else ()


def beside(state: Chain, elsewhere: tuple[Pulsing, ...]) -> Chain:
    """Take what other devices of the same point of care see of the pulse, each with its device's name."""
    return _beside(state, held.beside(state.held, elsewhere))


def _aligned(state: Chain, aligned: AlignState) -> Chain:
    """The same state with what is known of its clocks now; not by `replace`, which takes three times as long, for every record."""
    if aligned is state.align:
        return state
    return Chain(
        state.placement, state.models, aligned, state.assess, state.rhythm, state.alarms, state.recent, state.judged,
        state.held, state.vitals,
    )  # fmt: skip


def _beside(state: Chain, kept: HeldState) -> Chain:
    """The same state with what is known of the pulse beside the ECG."""
    if kept is state.held:
        return state
    return Chain(
        state.placement, state.models, state.align, state.assess, state.rhythm, state.alarms, state.recent,
        state.judged, kept, state.vitals,
    )  # fmt: skip


def _of_vitals(state: Chain, known: VitalsState) -> Chain:
    """The same state with what is known of rates."""
    if known is state.vitals:
        return state
    return Chain(
        state.placement, state.models, state.align, state.assess, state.rhythm, state.alarms, state.recent,
        state.judged, state.held, known,
    )  # fmt: skip


def _wave(state: Chain, group: WaveformGroup) -> tuple[Chain, list[Record]]:
    """The rates that a wave shows, and what they change."""
    known, rates = vitals.step(state.vitals, group, state.held.pulses)
    state = _of_vitals(state, known)
    out: list[Record] = []
    for rate in rates:
        state, changes = _reading(state, rate)
        out += [rate, *changes]
    return state, out


def _judged(state: Chain, series: tuple[SourcePath, str], at_ns: int) -> Chain:
    """The same state with the time of the newest reading of a series."""
    judged = MappingProxyType({**state.judged, series: at_ns})
    return Chain(
        state.placement, state.models, state.align, state.assess, state.rhythm, state.alarms, state.recent, judged,
        state.held, state.vitals,
    )  # fmt: skip


def _watched(state: Chain, reading: Observation) -> "Mapping[str, Watched]":
    """By what a reading is judged: a rate that the device tells is no red alarm beside those of its ECG, while that can be judged."""
    if reading.code == HEART_RATE:
        for groups in state.recent.values():
            newest = groups[-1]
            since_ns = reading.times.best_ns - newest.time_of(newest.end_sample)
            if since_ns < ECG_WATCHED_NS and not all(mark in assess.UNJUDGEABLE for mark in newest.quality):
                return state.placement.of_ecg
    return state.placement.watched


def _reading(state: Chain, reading: Observation) -> tuple[Chain, list[AlarmCondition | DeviceEvent]]:
    """What a reading changes. One that the device kept back says what was: it may raise an alarm, and ends none that holds now."""
    watched = _watched(state, reading)
    if not limits.are_judged(state.alarms, reading, watched):
        return state, []
    series, times = (reading.source, reading.code), reading.times
    at_ns = times.best_ns
    newest_ns = state.judged.get(series, at_ns)
    found = limits.conditions(state.alarms, reading, watched)
    if at_ns < newest_ns and times.gateway_ns - at_ns > KEPT_BACK_NS:
        return _settle(state, tuple(c for c in found if c.present), times)
    return _settle(_judged(state, series, at_ns), found, times)


def _ecg(state: Chain, group: WaveformGroup, events: tuple[Record, ...]) -> tuple[Chain, tuple[Record, ...]]:
    assessed, group, samples, technical = assess.step(state.assess, group)
    recent = MappingProxyType({**state.recent, group.source: _kept(state.recent.get(group.source, ()), group)})
    watched, found = rhythm.step(state.rhythm, group, samples, state.placement, state.models)
    state = Chain(  # not by `replace`, as above
        state.placement, state.models, state.align, assessed, watched, state.alarms, recent, state.judged, state.held,
        state.vitals,
    )  # fmt: skip
    out: list[Record] = [group, *events]
    state, changes = _settle(state, technical, group.times)
    out += changes
    for item in found:
        if isinstance(item, Condition):
            state, changes = _settle(state, (item,), group.times)
            out += changes
        elif isinstance(item, DeviceEvent):
            out.append(item)
        else:
            out.append(item)
            if item.quality is Quality.GOOD:
                state = _of_vitals(state, vitals.said(state.vitals, item))
            judged = limits.conditions(state.alarms, item, state.placement.of_ecg)
            state, changes = _settle(state, judged, item.times)
            out += changes
    return state, tuple(out)


def _settle(
    state: Chain, conditions: tuple[Condition, ...], times: "Times"
) -> tuple[Chain, list[AlarmCondition | DeviceEvent]]:
    out: list[AlarmCondition | DeviceEvent] = []
    for condition in conditions:
        if not condition.present and condition.key not in state.alarms.standing:
            continue
        told = replace(times, corrected_ns=condition.at_ns)
        is_new = condition.present and not state.alarms.holds(*condition.key)
        weighed = held.weigh(state.held, condition, state.placement.extremes) if is_new else held.Weighed(condition)
        kept, change, raised = alarms.step(state.alarms, weighed.condition, told)
        if raised is not None and weighed.is_held:
            waits, events = held.hold(state.held, weighed, times)
            state = _beside(state, waits)
            out += events
            continue
        state = replace(state, alarms=kept)
        if change is not None:
            out.append(change if raised is None else _with_strip(state, change))
        if raised is not None:
            kept, ended = alarms.turned(state.alarms, raised, told)
            waits, events = held.raised(state.held, weighed, times)
            state = replace(state, alarms=kept, held=waits)
            out += events
            if ended is not None:
                out.append(ended)
    return state, out


def _kept(groups: tuple[WaveformGroup, ...], new: WaveformGroup) -> tuple[WaveformGroup, ...]:
    """The groups that a strip ending in the newest may need; a hole or another layout begins anew."""
    last = groups[-1] if groups else None
    if (
        last is None
        or last.end_sample != new.first_sample
        or (last.leads, last.fs_hz, last.dtype, last.scales) != (new.leads, new.fs_hz, new.dtype, new.scales)
    ):
        return (new,)
    oldest = new.first_sample - STRIP_S * new.fs_hz
    cut = 0
    while groups[cut].end_sample <= oldest and cut < len(groups) - 1:
        cut += 1
    return (*groups[cut:], new)


def _with_strip(state: Chain, alarm: AlarmCondition) -> AlarmCondition:
    """Copy the ten seconds that end at the deciding sample, and the beats in them, into the alarm."""
    groups = state.recent.get(alarm.source, ())
    if not groups or alarm.evidence is None:
        return alarm
    newest = groups[-1]
    deciding = alarm.evidence.deciding_sample
    end = newest.end_sample if deciding is None else min(deciding + 1, newest.end_sample)
    begin_at = max(groups[0].first_sample, end - round(STRIP_S * newest.fs_hz))
    joined = np.concatenate([g.array() for g in groups], axis=1)
    offset = groups[0].first_sample
    cut = np.ascontiguousarray(joined[:, begin_at - offset : end - offset])
    strip = replace(
        newest,
        first_sample=begin_at,
        samples=cut.tobytes(),
        times=replace(newest.times, corrected_ns=newest.time_of(begin_at)),
    )
    watch = state.rhythm.watches.get(alarm.source)
    beats = tuple(b for b in watch.beats if begin_at <= b < end) if watch else ()
    classes = "".join(watch.classes.get(b, UNNAMED) for b in beats) if watch and watch.classes else ""
    return replace(alarm, evidence=replace(alarm.evidence, strip=strip, beats=beats, classes=classes))
