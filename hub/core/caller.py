"""From where a call comes: kept beside each session and in each entry of the audit. A door sets it for what it serves."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_DEVICE_KEPT = 200  # characters of what a browser says of itself


@dataclass(frozen=True, slots=True)
class Caller:
    """The address (of the browser, where a trusted proxy tells it; of a gateway as gRPC names it), and what the browser says of itself."""

    address: str = ""
    device: str = ""

    @property
    def kept(self) -> "Caller":
        """As it is stored."""
        return Caller(self.address, self.device[:_DEVICE_KEPT])


_NOBODY = Caller()
_CALLER: ContextVar[Caller] = ContextVar("_CALLER", default=_NOBODY)


@contextmanager
def called_by(caller: Caller) -> Generator[None]:
    """What is done in here is done for this caller."""
    token = _CALLER.set(caller.kept)
    try:
        yield
    finally:
        _CALLER.reset(token)


def caller_now() -> Caller:
    """For whom something is done; of the hub's own tasks and commands nothing is known."""
    return _CALLER.get()
