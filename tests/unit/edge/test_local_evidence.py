"""The strips of alarms at the gateway's own page: the newest are there as they were, and a night of alarms takes no more than they may."""

import tracemalloc
from uuid import UUID

import numpy as np
import pytest

from edge.local import evidence
from edge.local.room import ENDED_KEPT, Room
from protocols.nomenclature import V_TACHY, lead
from protocols.record import (
    AlarmCondition,
    AlarmKind,
    Evidence,
    Presence,
    Priority,
    Quality,
    Reason,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)
from tests.fixtures.local_page import GATEWAY, placement

S = 1_000_000_000
NOW = 1_750_000_000 * S
SOURCE = SourcePath("cyton-1", ("ecg",))
LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def strip(seed: int) -> WaveformGroup:
    """Ten seconds of twelve leads at 500 Hz, 120 kB: a wander with noise, other for each alarm."""
    steps = np.random.default_rng(seed).integers(-9, 10, (len(LEADS), 5000))
    samples = np.cumsum(steps, axis=1).astype("<i2")
    return WaveformGroup(
        SOURCE, tuple(lead(one) for one in LEADS), 500.0, seed, samples.tobytes(), "<i2", (Scale(0.001, 0.0, "mV"),) * 12,
        Times(NOW + seed * S), (Quality.GOOD,) * 12,
    )  # fmt: skip


def alarm(n: int, presence: Presence = Presence.PRESENT) -> AlarmCondition:
    decided = Evidence("lethal", "5", confidence=0.9, strip=strip(n % 7), reasons=(Reason("base", 0.1),))
    return AlarmCondition(
        UUID(int=n + 1), SOURCE, V_TACHY, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, presence, NOW, NOW + n * S, Times(NOW + n * S),
        evidence=decided if presence is Presence.PRESENT else None,
    )  # fmt: skip


def room() -> Room:
    made = Room(GATEWAY, lambda _: True, lambda: NOW, str)
    made.place(placement())
    return made


def shown(room: Room, n: int) -> Evidence:
    found = room.evidence(room.alarms[UUID(int=n + 1)])
    assert found is not None
    return found


def test_a_strip_comes_out_as_it_went_in_whatever_followed():
    page = room()
    page.take([alarm(0)])
    assert shown(page, 0) == alarm(0).evidence
    page.take([alarm(0, Presence.LATCHED)])
    assert shown(page, 0) == alarm(0).evidence


def test_a_night_in_which_nobody_looks_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    """Every alarm stays with what is known of it; of the strips the newest stay."""
    monkeypatch.setattr(evidence, "MOST_BYTES", 400_000)
    page = room()
    for n in range(40):
        page.take([alarm(n), alarm(n, Presence.LATCHED)])
    tracemalloc.start()
    for n in range(40, 240):
        page.take([alarm(n), alarm(n, Presence.LATCHED)])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200 * 4096 + 100_000, "of 200 alarms, whose strips are 24 MB"
    assert len(page.alarms) == 240
    assert shown(page, 239) == alarm(239).evidence
    old = shown(page, 0)
    assert (old.strip, old.confidence, old.reasons) == (None, 0.9, (Reason("base", 0.1),))


def test_the_strip_of_an_alarm_that_is_forgotten_goes_with_it():
    page = room()
    for n in range(ENDED_KEPT + 20):
        page.take([alarm(n), alarm(n, Presence.ENDED)])
    assert len(page.alarms) == ENDED_KEPT
    assert set(page._strips._packed) <= set(page.alarms)
