"""The fixture `seed`: chance that is new in each run and can be repeated.

A test that kills at random moments or makes random bytes asks for it. The seed of each such test stands in the summary of the run,
however many processes ran it and whether it passed; `WARDLINK_SEED=NUMBER` gives that one to all of them again.
"""

import os
import random
import secrets

import pytest

VARIABLE = "WARDLINK_SEED"
_PROPERTY = "seed"


class Seeds:
    """Hears which test had which seed and says so at the end."""

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                self._seeds[report.nodeid] = int(str(value))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._seeds:
            terminalreporter.section(f"seeds (a test again with its own: {VARIABLE}=NUMBER)")
        for test, number in sorted(self._seeds.items()):
            terminalreporter.write_line(f"{number:>10}  {test}")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> random.Random:
    """Chance with a seed of its own, or that of WARDLINK_SEED."""
    given = os.environ.get(VARIABLE)
    if given is not None and not given.isdecimal():
        raise pytest.UsageError(f"{VARIABLE}={given!r}: expected a number, as the summary of a run prints it")
    number = secrets.randbits(32) if given is None else int(given)
    item: pytest.Item = request.node
    item.user_properties.append((_PROPERTY, number))
    return random.Random(number)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Seeds(), "seeds")
