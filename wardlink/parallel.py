"""Jobs over two processes."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def over(function: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """``function`` of each job, in their order.

    The processes are started anew and not forked: a fork of a process in which gRPC has threads may stand for ever.
    """
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, jobs))
