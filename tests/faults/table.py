"""What a run came to: build/faults.json, a summary, and the table between the marks of docs/reference/faults.md."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from statistics import median

from tests.faults.catalogue import FAULTS
from tests.faults.entry import LOAD, Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "faults.md"
BEGIN, END = "<!-- begin: written by `python -m tests.faults --table` -->", "<!-- end -->"


@cache
def commit() -> str:
    """The commit under test when it was first asked for, with a word when the tree has more than it."""
    git = ["git", "-C", str(ROOT)]
    said = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=False).stdout
    more = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False).stdout
    return said.strip() + (" with changes" if more.strip() else "")


def save(results: Iterable[Result], seed: int) -> None:
    """For machines."""
    (ROOT / "build").mkdir(exist_ok=True)
    rows = {"commit": commit(), "seed": seed, "results": [asdict(result) for result in results]}
    (ROOT / "build" / "faults.json").write_text(json.dumps(rows, indent=1))


def rows(results: Sequence[Result]) -> list[tuple[str, str, str, str, str, str, str]]:
    """What, phase, how often, lost, time to normal (P50 / longest), alarms and the longest delay of one, outcome: a row for each phase of the catalogue that was played."""
    found: list[tuple[str, str, str, str, str, str, str]] = []
    for fault in FAULTS:
        for phase in fault.phases:
            of = [result for result in results if (result.fault, result.phase) == (fault.name, phase)]
            ran = [result for result in of if not result.not_run]
            if not ran:
                if of:
                    found.append((fault.what, phase, "0", "", "", "", f"not run: {of[0].not_run}"))
                continue
            lost: Counter[str] = Counter()
            for result in ran:
                lost += Counter(result.lost)
            sent = sum(result.sent for result in ran)
            times = [result.normal_s for result in ran]
            words = ", ".join(f"{n:,} ({reason})" for reason, n in sorted(lost.items())) or "0"
            bad = sum(bool(result.wrong) for result in ran)
            found.append((
                fault.what, phase, str(len(ran)), f"{words} of {sent:,}", f"{median(times):.1f} / {max(times):.1f} s",
                f"{n}, {max(result.alarm_s for result in ran):.1f} s" if (n := sum(result.alarms for result in ran)) else "not asked",
                f"WRONG {bad} times" if bad else "whole",
            ))  # fmt: skip
    beside = [result for result in results if result.fault == LOAD]
    if beside:
        bad = sum(bool(result.wrong) for result in beside)
        found.append((LOAD, "", str(len(beside)), "0", "", "", f"WRONG {bad} times" if bad else "whole"))
    return found


def summary(results: Sequence[Result]) -> str:
    """A table for a terminal."""
    return "\n".join("  ".join(f"{cell:<34}" for cell in row).rstrip() for row in rows(results))


def write_page(results: Sequence[Result]) -> None:
    """Put the table between the marks."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [
        "| what | phase | how often | samples lost | time to normal, P50 / longest | alarms, the latest | outcome |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    closing = f"Commit {commit()}."
    PAGE.write_text(before + "\n".join([BEGIN, "", *lines, "", closing, END]) + after, "utf-8")
