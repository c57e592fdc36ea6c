"""The hub warns of its own machine by the same thresholds as a gateway of its."""

from pathlib import Path

import pytest

from hub.core.machine import Machine
from tests.fixtures.kernel_files import fill, write


def test_the_hub_warns_at_80_of_100_of_its_processor_and_disk_and_at_85_of_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fill(monkeypatch, 50)
    counts = write(tmp_path, busy=0, free=1_000_000)
    machine = Machine(tmp_path, tmp_path)
    machine.look()
    for _ in range(2):
        counts = write(tmp_path, busy=790, free=320_000, before=counts)
        fill(monkeypatch, 79)
        machine.look()
    assert machine.percent == {"cpu": 79, "memory": 84, "disk": 79}
    assert machine.warnings == []
    for _ in range(3):
        counts = write(tmp_path, busy=800, free=300_000, before=counts)
        fill(monkeypatch, 80)
        machine.look()
    assert machine.percent == {"cpu": 80, "memory": 85, "disk": 80}
    assert machine.warnings == ["cpu", "disk", "memory"]


def test_a_system_without_these_files_has_no_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(monkeypatch, 50)
    machine = Machine(tmp_path, tmp_path)
    machine.look()
    assert (machine.percent, machine.warnings) == ({"disk": 50}, [])
