"""Which file a process of the run takes next: the first what computes, the others what mostly waits.

A page with live strips takes most of a core, and so do the unit tests, while most of the integration tests wait for a recording to play at
its own pace: a few of them take less of a core than one browser. So never more than one browser is open, and nobody waits beside an idle
core. Who has none of its own left helps the others. Within each of the two, files that were given the most time begin, so that none is left
alone at the end; within a file the order stays.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import PurePath
from typing import TypeVar

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

File = TypeVar("File")

# Folders in the order in which they are taken, "" for all that are not named. Unit tests begin: beside them runs the type checker, and no clock
# holds them.
COMPUTING = ("", "e2e", "integration")
WAITING = ("integration", "", "e2e")
FIRST = "gw0"  # as pytest-xdist calls the first process


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only in a process of a run with several: who asks for some tests has them in the order that was asked for."""
    if not hasattr(config, "workerinput"):
        return
    files = [list(of_file) for _, of_file in groupby(items, key=lambda item: item.path)]
    files.sort(key=_may_take_s, reverse=True)
    items[:] = [item for of_file in files for item in of_file]


def _may_take_s(of_file: list[pytest.Item]) -> float:
    marks = [mark for item in of_file if (mark := item.get_closest_marker("timeout"))]
    return max((float(mark.args[0]) for mark in marks), default=0.0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> "TwoKinds | None":
    """Files whole, as `--dist=loadfile` says, and by their kind."""
    return TwoKinds(config, log) if config.getvalue("dist") == "loadfile" else None


class TwoKinds(LoadFileScheduling):
    """Gives each process the next file of its kind."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        kinds = COMPUTING if node.workerinput["workerid"] == FIRST else WAITING
        self.workqueue.move_to_end(next_file(self.workqueue, PurePath, kinds), last=False)
        super()._assign_work_unit(node)


def next_file(files: Iterable[File], path: Callable[[File], PurePath], kinds: tuple[str, ...]) -> File:
    """The first file of the first kind that has any."""

    def rank(file: File) -> int:
        folder = path(file).parent.name
        return kinds.index(folder if folder in kinds else "")

    return min(files, key=rank)
