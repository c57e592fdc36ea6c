"""Loads the plugins of this suite: the requirement trace, the skip guard, the recordings, the seeds, and every module of tests/fixtures."""

import gc
import os
import signal
import time
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

HERE = Path(__file__).parent

pytest.register_assert_rewrite("tests.fixtures")  # one may import another before its turn comes

# How long an example takes is the machine's matter. Each run tries others; one that fails says how to have it again.
settings.register_profile("wardlink", deadline=None, print_blob=True)
settings.load_profile("wardlink")

# A shell that starts a run in the background lets it ignore Ctrl-C, and so would every command that a test ends by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A server is started as its user, for which Python forks; gRPC's handlers of forks have crashed the child of a process with a hub in it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"  # read when gRPC is loaded

# As its programs do: unless it is told, structlog paints each traceback for half a second.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
    ]
)


pytest_plugins = [
    "pytester",
    "tests.plugins.requirements",
    "tests.plugins.skip_guard",
    "tests.plugins.recordings",
    "tests.plugins.order",
    "tests.plugins.seeds",
    *(f"tests.fixtures.{path.stem}" for path in sorted((HERE / "fixtures").glob("[!_]*.py"))),
]

CHECKS_WITHIN_S = 300.0


def pytest_collection_finish() -> None:
    """What was collected stays: without it in each search for garbage the whole suite is a seventh less work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print before the closing line what the static checks of the same `make test` found."""
    if not (given := os.environ.get("WARDLINK_CHECKS")):
        return
    report, until_s = Path(given), time.monotonic() + CHECKS_WITHIN_S
    while not report.exists() and time.monotonic() < until_s:
        time.sleep(0.1)
    terminalreporter.section("static checks")
    terminalreporter.write_line(report.read_text() if report.exists() else "FAILED: they did not end")
