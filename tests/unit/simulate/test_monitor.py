"""The simulated bedside monitor: what its packages say to the gateway's reader, over whole excerpts and with every fault."""

from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.simulate.monitor import FAULTS, GARBAGE, LOSE_PACKAGES, UNSET_CLOCK_NS, Monitor, order
from firmware_adapters.simulate.monitor_links import as_json
from firmware_adapters.simulate.monitor_signals import Played, from_record, from_table, numbers_of
from protocols.ecgfile.wfdb import read_record
from protocols.errors import DecodeError
from protocols.package import Package, read_json, read_protobuf
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    Observation,
    Presence,
    Priority,
    Quality,
    WaveformGroup,
)

CAPTURES = Path(__file__).parents[2] / "captures"
TWELVE, DESATURATION = CAPTURES / "ecg12-A0005-pvc", CAPTURES / "bidmc-11-desaturation"
TABLE = CAPTURES / "bidmc-11-desaturation.numerics.csv"
BEGAN_NS = 1_790_000_000 * NS_PER_S
AT_NS = BEGAN_NS + NS_PER_S


def monitor(played: Played) -> Monitor:
    return Monitor("monitor-3", played, BEGAN_NS)


def play(monitor: Monitor, seconds: int) -> list[Package]:
    made = (monitor.next_package() for _ in range(seconds))
    return [read_protobuf(p.SerializeToString(), AT_NS) for p in made if p is not None]


def groups(packages: list[Package], part: str = "ecg") -> list[WaveformGroup]:
    return [r for p in packages for r in p.records if isinstance(r, WaveformGroup) and r.source.path == (part,)]


def numbers(packages: list[Package], code: str) -> list[object]:
    return [r.value for p in packages for r in p.records if isinstance(r, Observation) and r.code == code]


def test_twelve_leads_arrive_as_the_record_has_them_in_microvolt():
    found = groups(play(monitor(from_record(TWELVE)), 25))
    record = read_record(TWELVE)
    assert [s.unit for s in found[0].scales] == ["uV"] * 12
    sent = np.concatenate([g.array() for g in found], axis=1)
    gains = np.array([[s.gain] for s in found[0].scales])
    assert np.allclose(sent * gains, record.physical() * 1e3)
    assert [lead.removeprefix("MDC_ECG_ELEC_POTL_") for lead in found[0].leads] == [
        s.description.upper() for s in record.header.signals
    ]


def test_the_numbers_of_the_table_are_sent_each_second_and_a_missing_one_is_not(tmp_path: Path):
    rows = numbers_of(TABLE)
    packages = play(monitor(from_record(DESATURATION, table=TABLE)), 300)
    assert numbers(packages, "MDC_PULS_OXIM_SAT_O2") == [row["SpO2"] for row in rows if "SpO2" in row]
    assert {100.0, 98.0, 97.0, 96.0} <= set(numbers(packages, "MDC_PULS_OXIM_SAT_O2"))
    holed = tmp_path / "holed.csv"
    holed.write_text("seconds,HR,SpO2\n0,60,97\n1,,96\n")
    assert numbers(play(monitor(from_table(holed)), 2), "MDC_ECG_HEART_RATE") == [60.0]


def test_the_end_of_a_recording_and_its_begin_are_never_joined():
    found = groups(play(monitor(from_record(TWELVE, start_s=23)), 12))
    assert [g.first_sample // 500 for g in found] == [0, 1, 7, 8]  # two seconds, five of pause
    assert [((g.times.device_ns or 0) - BEGAN_NS) // NS_PER_S for g in found] == [0, 1, 7, 8]


def test_the_next_package_is_promised_for_as_long_as_the_pause_of_the_loop_lasts():
    assert {p.next_within_s for p in play(monitor(from_record(TWELVE, start_s=23)), 8)} == {6.0}


def test_the_same_package_as_json_is_the_same_package():
    package = monitor(from_record(DESATURATION, table=TABLE)).next_package()
    assert package is not None
    assert read_json(as_json(package), AT_NS) == read_protobuf(package.SerializeToString(), AT_NS)


def test_leads_that_are_pulled_off_say_so_and_the_monitor_shows_no_heart_rate():
    at = monitor(from_record(DESATURATION, table=TABLE))
    at.fault("pull-lead", 2)
    packages = play(at, 3)
    assert [g.quality for g in groups(packages)] == [(Quality.LEAD_OFF,), (Quality.LEAD_OFF,), (Quality.GOOD,)]
    assert [g.quality for g in groups(packages, "oxi")] == [(Quality.GOOD,)] * 3
    assert len(numbers(packages, "MDC_ECG_HEART_RATE")) == 1
    assert len(numbers(packages, "MDC_PULS_OXIM_SAT_O2")) == 3


def test_a_wrong_clock_is_told_as_it_is_and_comes_right_again():
    at = monitor(from_record(DESATURATION))
    play(at, 1)
    at.fault("wrong-clock")
    wrong = groups(play(at, 2))
    assert [g.times.device_ns for g in wrong] == [UNSET_CLOCK_NS, UNSET_CLOCK_NS + NS_PER_S]
    at.fault("wrong-clock")
    assert groups(play(at, 1))[0].times.device_ns == BEGAN_NS + 3 * NS_PER_S


def test_silence_and_lost_packages_leave_holes_in_the_numbers():
    at = monitor(from_record(DESATURATION))
    at.fault("lose")
    lost = play(at, LOSE_PACKAGES + 1)
    assert [p.number for p in lost] == [LOSE_PACKAGES + 1]
    at.fault("silent", 3)
    assert [g.first_sample // 125 for g in groups(play(at, 5))] == [8, 9]


def test_alarms_of_its_own_begin_in_one_second_and_end_in_the_next_and_none_is_left_standing():
    at = monitor(from_record(DESATURATION))
    at.fault("alarms", 3)
    told = [[r for r in p.records if isinstance(r, AlarmCondition)] for p in play(at, 6)]
    assert [[r.presence for r in records] for records in told] == [
        [Presence.PRESENT], [Presence.ENDED], [Presence.PRESENT], [Presence.ENDED], [], []
    ]  # fmt: skip
    changes = [record for records in told for record in records]
    assert [(r.detected_ns - BEGAN_NS) // NS_PER_S for r in changes] == [1, 2, 3, 4], "at the end of the second"
    assert [(r.onset_ns - BEGAN_NS) // NS_PER_S for r in changes] == [1, 1, 3, 3]
    first, ended, second, _ = changes
    assert first.id == ended.id != second.id
    assert {(str(r.source), r.priority) for r in changes} == {("monitor-3/resp", Priority.HIGH)}


def test_garbage_is_no_package():
    at = monitor(from_record(DESATURATION))
    at.fault("garbage", 2)
    assert [at.next_garbage() for _ in range(3)] == [GARBAGE, GARBAGE, b""]
    with pytest.raises(DecodeError):
        read_protobuf(GARBAGE, AT_NS)


def test_orders_are_a_fault_and_perhaps_seconds():
    assert order("pull-lead") == ("pull-lead", None)
    assert order("FAULT drop-link 12") == ("drop-link", 12)
    for wrong in ("", "FAULT", "pull-lead soon", "pull-lead 1 2"):
        with pytest.raises(ValueError, match="expected a fault"):
            order(wrong)
    with pytest.raises(ValueError, match=", ".join(FAULTS)):
        monitor(from_record(DESATURATION)).fault("explode")


def test_a_recording_that_cannot_be_played_in_whole_seconds_is_refused():
    with pytest.raises(ValueError, match="one second or more"):
        from_record(TWELVE, start_s=25)
    with pytest.raises(ValueError, match="expected rows"):
        from_table(TABLE, start_s=1000)
