"""The order of the files of a run in several processes: those with a browser take turns with those that mostly wait.

A page with live strips takes most of a core; a few at once would slow each other down, while most of the integration tests wait for
a recording to play at its own pace. Files of a second or two come last and fill up. Of those with a browser the ones that were
given the most time begin, so that none is left alone at the end. Within a file the order stays.
"""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import pytest

File = TypeVar("File")

HEAVY, WAITING = "e2e", "integration"
WAITING_FOR_ONE_HEAVY = 3


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only in a process of a run with several: who asks for some tests has them in the order that was asked for."""
    if not hasattr(config, "workerinput"):
        return
    files = [list(of_file) for _, of_file in groupby(items, key=lambda item: item.path)]
    files.sort(key=_may_take_s, reverse=True)
    items[:] = [item for of_file in in_turns(files, lambda of_file: of_file[0].path) for item in of_file]


def _may_take_s(of_file: list[pytest.Item]) -> float:
    marks = [mark for item in of_file if (mark := item.get_closest_marker("timeout"))]
    return max((float(mark.args[0]) for mark in marks), default=0.0)


def in_turns(files: list[File], path: Callable[[File], Path]) -> list[File]:
    """One with a browser, then a few that wait, and so on; the rest behind them."""
    heavy = [f for f in files if path(f).parent.name == HEAVY]
    waiting = [f for f in files if path(f).parent.name == WAITING]
    rest = [f for f in files if path(f).parent.name not in (HEAVY, WAITING)]
    ordered: list[File] = []
    for number, one in enumerate(heavy):
        first = number * WAITING_FOR_ONE_HEAVY
        ordered += [one, *waiting[first : first + WAITING_FOR_ONE_HEAVY]]
    return [*ordered, *waiting[len(heavy) * WAITING_FOR_ONE_HEAVY :], *rest]
