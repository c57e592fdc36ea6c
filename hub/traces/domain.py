"""The hops of a message, as they are told to a person. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# name in the trace -> what happened, and by whose clock
HOPS: tuple[tuple[str, str, str], ...] = (
    ("device_ns", "device measured", "device"),
    ("gateway_ns", "came to the gateway's door", "gateway"),
    ("closed_ns", "batch closed on the gateway", "gateway"),
    ("received_ns", "received by the hub", "hub"),
    ("committed_ns", "committed", "hub"),
    ("not_stored_ns", "not stored: the gateway sends it again", "hub"),
    ("pushed_ns", "pushed to the pages", "hub"),
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop. `after_s`: behind the one before; None for the first. Over two clocks it holds what they differ by."""

    what: str
    clock: str
    at_ns: int
    after_s: float | None


def hops(told: Mapping[str, object]) -> Iterator[Hop]:
    """The hops that are in a trace, in their order."""
    before_ns: int | None = None
    for name, what, clock in HOPS:
        at_ns = told.get(name)
        if isinstance(at_ns, int):
            yield Hop(what, clock, at_ns, None if before_ns is None else (at_ns - before_ns) / 1e9)
            before_ns = at_ns
