"""What a machine cannot do, and what one injection may not do: take for ever, or end the run."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self


class NotPossibleError(RuntimeError):
    """This machine cannot have this fault; the message says why."""


class TookTooLongError(Exception):
    """It has not ended in its time. No OSError: what tries until something answers takes those for one more try that failed."""


@dataclass
class Caught:
    """`with Caught() as caught:` goes on behind any error but an end that somebody asked for; `error` is what was raised."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None

    @property
    def told(self) -> str:
        """The error in a line."""
        return f"{type(self.error).__name__}: {self.error}"


@contextmanager
def within(seconds: float, what: str) -> Generator[None]:
    """TookTooLongError when it takes longer, whatever it waits for. In the main thread, and not within another."""

    def over(number: int, frame: FrameType | None) -> None:
        del number, frame
        msg = f"{what} has not ended within {seconds:.0f} s"
        raise TookTooLongError(msg)

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
