"""`make test`: the static checks side by side, then one run of pytest in a few processes, whose closing line comes last.

Every check runs, and the tests too, whatever failed before: one run tells all. `--static` leaves out the tests, `--fast` runs only
the unit tests after the checks; anything else is handed to pytest.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
TESTS_SIDE_BY_SIDE = 3  # most wait for a recording to play at its own pace


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended."""

    name: str
    passed: bool
    seconds: float
    output: str


def main(arguments: list[str]) -> int:
    """Run the checks and the tests; returns the exit status."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        outcomes: list[Outcome] = []
        for outcome in pool.map(lambda item: _run(*item), CHECKS.items()):
            outcomes.append(outcome)
            _tell(outcome)
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    if "--static" in arguments:
        return int(bool(failed))
    fast = "--fast" in arguments
    passed_on = [argument for argument in arguments if argument != "--fast"]
    tests = ["tests/unit"] if fast else ["--requirements-report=build/requirements.json"]
    # A file stays in one process: what its tests share is made once. The processes share one database server. They take the
    # files in the order of the folders: those with a browser have few tests and run long, by their number they would come last.
    tests += [f"--numprocesses={TESTS_SIDE_BY_SIDE}", "--dist=loadfile", "--no-loadscope-reorder"]
    environment = {**os.environ, "WARDLINK_CHECKS_FAILED": ", ".join(failed)}
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, *passed_on], check=False, env=environment
    ).returncode
    return status or int(bool(failed))


def _run(name: str, command: list[str]) -> Outcome:
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Outcome(name, done.returncode == 0, time.monotonic() - began, done.stdout.strip())


def _tell(outcome: Outcome) -> None:
    closing = outcome.output.splitlines()[-1] if outcome.output and outcome.passed else ""
    print(
        f"{outcome.name:<20} {'ok' if outcome.passed else 'FAILED':<7} {outcome.seconds:5.1f} s  {closing}", flush=True
    )
    if not outcome.passed:
        print(outcome.output, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
