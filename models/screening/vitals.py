"""Rates that a device's waves show where it tells none itself, and saturations that its own pulse wave speaks against.

A plethysmogram and an arterial pressure give a pulse rate, an impedance wave a respiration rate, each once a second at most and only while the
wave can be used. Whatever rate the device itself tells goes before: then nothing is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from models.screening.assess import MAX_HOLE_S
from models.screening.recent import RecentState, samples_of
from models.signal.vitals import breath, saturation, wave
from models.signal.vitals.saturation import Pulsation
from protocols.nomenclature import (
    ART_WAVE,
    HEART_RATE,
    IMPEDANCE_WAVE,
    PLETH,
    PULSE_RATE,
    PULSE_RATE_ART,
    RESPIRATION_RATE,
    SPO2,
)
from protocols.record import NS_PER_S, Observation, Quality, SourcePath, WaveformGroup

RATE_OF: Mapping[str, str] = MappingProxyType(
    {PLETH: PULSE_RATE, ART_WAVE: PULSE_RATE_ART, IMPEDANCE_WAVE: RESPIRATION_RATE}
)
AVERAGED_NS: Mapping[str, int] = MappingProxyType(
    {PULSE_RATE: 12 * NS_PER_S, PULSE_RATE_ART: 12 * NS_PER_S, RESPIRATION_RATE: 32 * NS_PER_S}
)
OWN_NS = 10 * NS_PER_S  # a rate that the device told less long ago is its own
EVERY_NS = NS_PER_S * 3 // 4  # hops are half a second apart, and times are rounded
MOST_WAVES = 4
KEPT = frozenset({*AVERAGED_NS, HEART_RATE})
Key = tuple[SourcePath, str]


@dataclass(frozen=True, eq=False)
class Breathing:
    """An impedance wave's unbroken stretch, and what its last second told: up to when, and the rate where it can be believed."""

    fs_hz: float
    base: int
    next_sample: int
    state: breath.BreathState
    judged_ns: int = 0
    rate_per_min: float | None = None


@dataclass(frozen=True, slots=True)
class VitalsState:
    """What the device and its ECG said last, by code (time in ns, value), its impedance waves, and when each wave's rate was told."""

    said: Mapping[str, tuple[int, float]] = field(
        default_factory=lambda: MappingProxyType(dict[str, tuple[int, float]]())
    )
    breathing: Mapping[Key, Breathing] = field(default_factory=lambda: MappingProxyType(dict[Key, Breathing]()))
    told: Mapping[Key, int] = field(default_factory=lambda: MappingProxyType(dict[Key, int]()))


def said(state: VitalsState, reading: Observation) -> VitalsState:
    """Take a rate that the device told, or that its ECG did."""
    if reading.code not in KEPT or isinstance(reading.value, str) or reading.quality is Quality.UNUSABLE:
        return state
    kept = {**state.said, reading.code: (reading.times.best_ns, reading.value)}
    return VitalsState(MappingProxyType(kept), state.breathing, state.told)


def judged(state: VitalsState, reading: Observation, pulses: RecentState) -> Observation:
    """A saturation whose pulse wave cannot be used, or whose pulse is not the heart's, is questionable; its number stays."""
    if reading.code != SPO2 or reading.quality is not Quality.GOOD:
        return reading
    at_ns = reading.times.best_ns
    known = [one for (_, code), one in pulses.waves.items() if code == PLETH and one.judged_ns]
    newest = max(known, key=lambda one: one.judged_ns, default=None)
    pulsation = None
    if newest is not None:
        age_s = abs(at_ns - newest.judged_ns) / NS_PER_S
        pulsation = Pulsation(age_s, newest.fault, newest.pulsing and newest.pulsing.rate_per_min)
    doubt = saturation.doubt(pulsation, _lately(state, PULSE_RATE, at_ns), _lately(state, HEART_RATE, at_ns))
    return reading if doubt is None else replace(reading, quality=Quality.QUESTIONABLE)


def step(state: VitalsState, group: WaveformGroup, pulses: RecentState) -> tuple[VitalsState, tuple[Observation, ...]]:
    """Take an aligned group that is no ECG, and what its pulse waves show; the rates to tell."""
    out: list[Observation] = []
    for row, wave_code in enumerate(group.leads):
        code, key = RATE_OF.get(wave_code, ""), (group.source, wave_code)
        if not code:
            continue
        if wave_code == IMPEDANCE_WAVE:
            if not wave.MIN_FS_HZ <= group.fs_hz <= wave.MAX_FS_HZ:
                continue
            state = _breathes(state, key, group, row)
            at_ns, rate = state.breathing[key].judged_ns, state.breathing[key].rate_per_min
        else:
            followed = pulses.waves.get(key)
            shown = None if followed is None else followed.pulsing
            at_ns, rate = (0, None) if shown is None else (shown.judged_ns, shown.rate_per_min)
        if rate is None or at_ns - state.told.get(key, 0) < EVERY_NS or _lately(state, code, at_ns) is not None:
            continue
        told = {**state.told, key: at_ns}
        if len(told) > 2 * MOST_WAVES:
            told.pop(min(told, key=lambda one: told[one]))
        state = VitalsState(state.said, state.breathing, MappingProxyType(told))
        times = replace(group.times, device_ns=None, corrected_ns=at_ns)
        out.append(Observation(group.source, code, round(rate, 1), "/min", times, averaging_ns=AVERAGED_NS[code]))
    return state, tuple(out)


def stepped(state: VitalsState, by_ns: int) -> VitalsState:
    """The gateway's clock was set forward by `by_ns`."""
    return VitalsState(
        MappingProxyType({code: (at_ns + by_ns, value) for code, (at_ns, value) in state.said.items()}),
        MappingProxyType({key: replace(one, judged_ns=one.judged_ns + by_ns) for key, one in state.breathing.items()}),
        MappingProxyType({key: at_ns + by_ns for key, at_ns in state.told.items()}),
    )


def _lately(state: VitalsState, code: str, at_ns: int) -> float | None:
    """What was said of a code less than `OWN_NS` before a time, or as little behind it."""
    said_ns, value = state.said.get(code, (0, 0.0))
    return value if abs(at_ns - said_ns) < OWN_NS else None


def _breathes(state: VitalsState, key: Key, group: WaveformGroup, row: int) -> VitalsState:
    known = state.breathing.get(key)
    hole = 0 if known is None else group.first_sample - known.next_sample
    if known is None or known.fs_hz != group.fs_hz or not 0 <= hole <= MAX_HOLE_S * group.fs_hz:
        known, hole = Breathing(group.fs_hz, group.first_sample, group.first_sample, breath.begin(group.fs_hz)), 0
    samples = np.concatenate([np.full(hole, np.nan), samples_of(group, row)])
    at, findings = breath.feed(known.state, samples, group.fs_hz)
    judged_ns, rate = known.judged_ns, known.rate_per_min
    if findings:
        judged_ns = group.time_of(known.base + findings[-1].end)
        rate = None if findings[-1].fault is not None else findings[-1].rate_per_min
    kept = {**state.breathing, key: Breathing(known.fs_hz, known.base, group.end_sample, at, judged_ns, rate)}
    if len(kept) > MOST_WAVES:
        kept.pop(min(kept, key=lambda one: kept[one].judged_ns))
    return VitalsState(state.said, MappingProxyType(kept), state.told)
