"""`make test`: the static checks, and beside them one run of pytest in a few processes, whose closing line comes last.

Every check runs, and the tests too, whatever failed: one run tells all. What the checks found is printed by pytest, before its
closing line. `--static` leaves out the tests, `--fast` runs only the unit tests; anything else is handed to pytest.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS: dict[str, list[str]] = {
    "ruff check": [str(BIN / "ruff"), "check", "--quiet", "--output-format=concise"],
    "ruff format": [str(BIN / "ruff"), "format", "--check", "--quiet"],
    "pyright": [str(BIN / "pyright")],
    "import contracts": [str(BIN / "lint-imports"), "--no-cache"],
    "licences": [sys.executable, "-m", "tests.checks.licences"],
    "counts": [sys.executable, "-m", "tests.checks.ratchet"],
}
SIDE_BY_SIDE = 2  # cores of the smallest machine this has to run on
TESTS_SIDE_BY_SIDE = 3  # one that computes and two that mostly wait (tests/plugins/order.py, decision 0118)

ROOM_BYTES = 8 << 30  # a whole run writes 4 GB, and its processes take 2 more
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended."""

    name: str
    passed: bool
    seconds: float
    output: str


def main(arguments: list[str]) -> int:
    """Run the checks and the tests; returns the exit status."""
    if "--static" in arguments:
        outcomes = _checked(SIDE_BY_SIDE)
        print(_told(outcomes), flush=True)
        return int(not all(outcome.passed for outcome in outcomes))
    fast = "--fast" in arguments
    passed_on = [argument for argument in arguments if argument != "--fast"]
    tests = ["tests/unit"] if fast else ["--requirements-report=build/requirements.json"]
    # A file stays in one process: what its tests share is made once. The processes share one database server. Which
    # file each takes is a matter of tests/plugins/order.py: by the number of their tests those with a browser would come last.
    side_by_side = SIDE_BY_SIDE if fast else TESTS_SIDE_BY_SIDE
    tests += [f"--numprocesses={side_by_side}", "--dist=loadfile", "--no-loadscope-reorder"]
    folder = tempfile.mkdtemp(prefix="wl-", dir=in_memory())
    Path(folder).chmod(0o711)  # a database server runs as another user
    print(
        f"the tests write into {folder}, which stays when one fails", file=sys.stderr
    )  # at the begin: pytest has the last line
    with ThreadPoolExecutor(1) as beside:
        report = Path(folder) / "checks.txt"
        checks = beside.submit(_report, report)
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *tests, *passed_on],
            check=False,
            # Each process would compile every file of tests anew, seconds of a core, where writing what was compiled is off.
            env={**os.environ, "WARDLINK_CHECKS": str(report), "PYTHONDONTWRITEBYTECODE": "", "TMPDIR": folder},
        ).returncode
        passed = checks.result()
    if not status:
        shutil.rmtree(folder, ignore_errors=True)
    return status or int(not passed)


def in_memory(
    folder: Path = Path("/dev/shm"),
    meminfo: Path = Path("/proc/meminfo"),
    limits: Sequence[Path] = LIMITS,
    room_bytes: int = ROOM_BYTES,
) -> Path | None:
    """A file system in memory with room for what the tests write, where there is one; None: the usual folder.

    On a disk that is shared, one test's flush stops the files of all others for seconds, which a test that a clock holds takes for the
    product's. What has to be durable is shown on recorded writes (tests/integration/test_edge_spool_power_cut.py) and by tests/faults.
    """
    try:
        about, told = os.statvfs(folder), meminfo.read_text("ascii")
    except OSError:
        return None
    available = re.search(r"^MemAvailable: +(\d+) kB$", told, re.MULTILINE)
    room = min(about.f_bavail * about.f_frsize, int(available[1]) << 10 if available else 0)
    for limit in limits:
        with suppress(OSError, ValueError):  # there is none, or it says `max`
            room = min(room, int(limit.read_text("ascii")))
    return folder if room >= room_bytes and not about.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK) else None


def _checked(side_by_side: int) -> list[Outcome]:
    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(lambda item: _run(*item), CHECKS.items()))


def _report(path: Path) -> bool:
    """Run the checks one by one, leaving a core to the tests, and write for pytest what they found; whether all passed."""
    outcomes = _checked(1)
    part = path.with_suffix(".part")
    part.write_text(_told(outcomes))
    part.rename(path)
    return all(outcome.passed for outcome in outcomes)


def _run(name: str, command: list[str]) -> Outcome:
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Outcome(name, done.returncode == 0, time.monotonic() - began, done.stdout.strip())


def _told(outcomes: list[Outcome]) -> str:
    lines: list[str] = []
    for outcome in outcomes:
        closing = outcome.output.splitlines()[-1] if outcome.output and outcome.passed else ""
        word = "ok" if outcome.passed else "FAILED"
        lines.append(f"{outcome.name:<20} {word:<7} {outcome.seconds:5.1f} s  {closing}")
        if not outcome.passed:
            lines.append(outcome.output)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
