"""`wardlink models annotate` and `evaluate`, as somebody types them."""

import subprocess
import sys
from pathlib import Path

import pytest

from protocols.ecgfile.wfdb import read_annotations

WARDLINK = Path(sys.executable).with_name("wardlink")
NORMAL, BIGEMINY = "mitdb-100-normal", "mitdb-200-bigeminy"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(WARDLINK), "models", *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def folder(captures: Path, tmp_path: Path) -> Path:
    """Two annotated records and one that has no annotations."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, suffixes in (
        (NORMAL, ("hea", "dat", "atr")),
        (BIGEMINY, ("hea", "dat", "atr")),
        ("mitdb-202-af", ("hea", "dat")),
    ):
        for suffix in suffixes:
            (folder / f"{name}.{suffix}").write_bytes((captures / f"{name}.{suffix}").read_bytes())
    return folder


def test_annotate_writes_a_file_for_each_record_and_tells_of_those_that_are_not_there(folder: Path, tmp_path: Path):
    to = tmp_path / "found" / "here"
    done = run("annotate", str(folder / NORMAL), str(folder / "101"), str(folder / BIGEMINY), "--to", str(to))
    assert done.returncode == 1
    assert [path.name for path in sorted(to.iterdir())] == [f"{NORMAL}.wl", f"{BIGEMINY}.wl"]
    assert "101.hea" in done.stderr
    assert "without extension" in done.stderr
    assert "147 beats" in done.stdout
    beats = [mark for mark in read_annotations(to / NORMAL, "wl") if mark.symbol in "NSVQ"]
    assert len(beats) == 147, "the record has 148 beats; the first is at 0.05 s"


def test_evaluate_writes_a_report_of_what_it_could_judge_and_says_what_it_left_out(folder: Path, tmp_path: Path):
    file = tmp_path / "report.md"
    done = run("evaluate", str(folder), "--from-s", "0", "--to", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}: 2 records judged, 1 left out\n")
    assert "mitdb-202-af is left out: there is no mitdb-202-af.atr" in done.stderr
    text = file.read_text()
    assert text.startswith("# Screening of the records of own\n")
    for part in (
        f"| {NORMAL} | 148 |",
        f"| {BIGEMINY} |",
        "**gross**",
        "- mitdb-202-af: there is no",
        "- Wardlink ",
        "- qrs ",
    ):
        assert part in text
    assert str(tmp_path) not in text, "a report is handed on: no place of the machine is in it"


def test_evaluate_prints_the_report_where_no_file_is_named_and_nothing_else(folder: Path):
    done = run("evaluate", str(folder), "--from-s", "0")
    assert done.returncode == 0
    assert done.stdout.startswith("# Screening of the records of own\n")


def test_a_folder_without_records_and_one_without_annotations_say_so(folder: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    nothing = run("evaluate", str(tmp_path / "empty"))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "no WFDB records (.hea)" in nothing.stderr
    none = run("evaluate", str(folder), "--reference", "xyz")
    assert (none.returncode, none.stdout) == (1, "")
    assert "None of 3 records" in none.stderr
    short = run("evaluate", str(folder))
    assert short.returncode == 1
    assert "is 120 s long, and the first 300 s are not counted" in short.stderr
