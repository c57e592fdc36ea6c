"""docs/reference/faults.md names every fault of the catalogue, and its table has a row for each phase that was played."""

from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.entry import Result
from tests.faults.table import BEGIN, END, PAGE, rows

ROOT = Path(__file__).parents[3]


def test_every_fault_is_in_the_page() -> None:
    text = PAGE.read_text("utf-8")
    assert [fault.name for fault in FAULTS if f"`{fault.name}`" not in text] == []
    assert text.index(BEGIN) < text.index(END)


def test_the_page_says_what_is_asked_of_alarms() -> None:
    lines = PAGE.read_text("utf-8").partition(BEGIN)[0].splitlines()
    told = {
        fault.name: [line for line in lines if line.startswith("|") and f"`{fault.name}`" in line] for fault in FAULTS
    }
    assert {name: len(rows) for name, rows in told.items() if len(rows) != 1} == {}
    unlike = [
        f.name for f in FAULTS if f.name != "database-clock-step" and not told[f.name][0].endswith(f"| {f.alarms} |")
    ]
    assert unlike == []


def test_the_last_run_has_every_fault_and_nothing_was_wrong() -> None:
    told = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    assert [fault.name for fault in FAULTS if f"| {fault.what} |" not in told] == []
    assert "Commit " in told
    assert [line for line in told.splitlines() if "WRONG" in line] == []


def test_a_row_tells_how_often_what_was_lost_and_what_was_wrong() -> None:
    fault = FAULTS[0]
    phase = next(iter(fault.phases))
    told = rows([
        Result(fault.name, phase, 1, 9.0, 1.5, 1000, {"agent_restart": 20}, alarms=6, alarm_s=0.31),
        Result(fault.name, phase, 2, 9.0, 4.5, 1000, {}, alarms=4, alarm_s=0.52),
    ])  # fmt: skip
    assert told == [(fault.what, phase, "2", "20 (agent_restart) of 2,000", "3.0 / 4.5 s", "10, 0.5 s", "whole")]
    [wrong] = rows([Result(fault.name, phase, 1, 9.0, 0.0, 0, {}, ["a sample is missing"])])
    assert wrong[-1] == "WRONG 1 times"
    [left] = rows([Result(fault.name, phase, 0, 0.0, 0.0, 0, {}, not_run="no root")])
    assert left[-1] == "not run: no root"


def test_faults_have_tests_that_there_are() -> None:
    assert [fault.in_test for fault in FAULTS if fault.in_test and not (ROOT / fault.in_test).is_file()] == []
