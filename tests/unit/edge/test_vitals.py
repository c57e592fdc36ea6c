"""How the gateway's machine is, from the kernel's files, and when that is a warning."""

from pathlib import Path

import pytest

from edge.health import vitals
from edge.health.status import Status
from edge.health.vitals import Vitals
from models.machine import Processor, Warnings, memory_percent, processor
from tests.fixtures.kernel_files import MEMINFO, STAT, fill, write


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vitals, "LOOK_EVERY_S", 0.0)
    zone = tmp_path / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("61500\n")
    write(tmp_path, busy=0, free=1_000_000)
    fill(monkeypatch, 50)
    return tmp_path


def test_times_of_idle_and_of_waiting_for_a_disk_are_not_busy():
    before, after = processor(STAT.format(user=1000, idle=9000)), processor(STAT.format(user=1250, idle=9750))
    assert after.percent_since(before) == 25
    assert before.percent_since(before) is None
    with pytest.raises(ValueError, match="expected a first line of cpu"):
        processor("intr 5\n")


def test_memory_that_the_kernel_could_give_back_is_not_in_use():
    assert memory_percent(MEMINFO.format(free=300_000)) == pytest.approx(85)
    with pytest.raises(ValueError, match="expected MemTotal and MemAvailable"):
        memory_percent("MemTotal: 5 kB\n")


def test_a_warning_begins_at_80_of_100_for_three_looks_and_ends_below_70():
    held: list[bool] = []
    state = Warnings()
    for percent in (79.9, 80, 95, 79, 80, 80, 80, 75, 70, 79, 69.9, 80, 80, 69):
        state = state.after({"cpu": percent})
        held.append("cpu" in state.holds)
    assert held == [False] * 6 + [True] * 4 + [False] * 4


def test_memory_warns_at_85_of_100_for_two_looks_and_what_was_not_looked_at_stays():
    state = Warnings().after({"memory": 85}).after({"cpu": 10})
    assert not state.holds
    assert state.after({"memory": 85}).after({}).after({"memory": 80}).holds == {"memory"}
    assert not state.after({"memory": 90}).after({"memory": 79.9}).holds


@pytest.mark.req("AIQ-D.3.1b", surface="protocol")
def test_the_gateway_tells_its_processor_memory_disk_temperature_and_versions_and_what_is_short(machine: Path):
    told = Vitals(machine, machine, machine / "thermal")
    assert told.look() == []
    counts, changes = (1000, 10_000), []
    for _ in range(3):
        counts = write(machine, busy=900, free=200_000, before=counts)
        changes += told.look()
    assert changes == [("memory", True), ("cpu", True)]
    assert told.warnings == ["cpu", "memory"]
    params = dict(Status("g", "1", 0, 0, machine=dict(told.params)).event(0).params)
    assert (params["cpu_percent"], params["memory_percent"], params["temperature_c"]) == (90, 90, 61.5)
    assert 0 <= float(params["disk_percent"]) <= 100
    assert params["python"]
    write(machine, busy=100, free=1_000_000, before=counts)
    assert told.look() == [("cpu", False), ("memory", False)]


def test_a_disk_warns_at_80_of_what_anybody_but_root_may_fill(machine: Path, monkeypatch: pytest.MonkeyPatch):
    told = Vitals(machine, machine, machine / "thermal")
    changes: list[tuple[str, bool]] = []
    for percent in (79, 80, 81, 76, 74):
        fill(monkeypatch, percent)
        changes += told.look()
        assert told.percent("disk") == percent
    assert changes == [("disk", True), ("disk", False)]


def test_a_machine_without_these_files_says_nothing_of_them(tmp_path: Path):
    told = Vitals(tmp_path, tmp_path / "none", tmp_path / "none")
    assert told.look() == []
    assert not {"cpu_percent", "memory_percent", "temperature_c"} & set(told.params)
    assert Processor(0, 0).percent_since(Processor(0, 0)) is None
