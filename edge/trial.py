"""How a life of the agent shows that it may stay: the one measure for new settings (edge/configuration) and for a new release (edge/update).

It is up when the hub has greeted it, the devices that were up before are up, and no task fails that did not fail before, for three seconds on end.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

_SETTLED_S = 10.0  # after a start: a device that is up later was not up before
_STEADY_S = 3.0  # a port that is taken, a task that falls over: both show within this
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Life:
    """What a trial looks at: which devices of the settings are up, whether the hub has greeted, which tasks fail and why."""

    devices: Callable[[], Mapping[str, bool]]
    is_greeted: Callable[[], bool]
    failing: Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Before:
    """What was so in the life before: devices that were up, tasks that failed."""

    up: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()


class Turn:
    """One trial at a time: of two at once, neither could be blamed."""

    def __init__(self) -> None:
        self._holder: object | None = None
        self._free = asyncio.Event()
        self._free.set()

    async def take(self, who: object) -> None:
        """Wait for it."""
        while self._holder not in {None, who}:
            await self._free.wait()
        self._holder = who
        self._free.clear()

    def give(self, who: object) -> None:
        """Give it back; nothing when another has it."""
        if self._holder is who:
            self._holder = None
            self._free.set()


async def seen(life: Life, began_s: float) -> Before:
    """What holds in a life that began then (monotonic): waits until every device is up, or has had its time to be."""
    while True:
        if all(life.devices().values()) or time.monotonic() >= began_s + _SETTLED_S:
            break
        await asyncio.sleep(_LOOK_S)
    up = frozenset(name for name, is_up in life.devices().items() if is_up)
    return Before(up, frozenset(life.failing()))


async def judged(life: Life, before: Before, configured: Collection[str], began_s: float, within_s: float) -> str:
    """Judge a life: "" as soon as it is up, else why it is not, when its time is over. `configured`: the devices it should have."""
    well_since_s: float | None = None
    while True:
        missing, now_s = _missing(life, before, configured), time.monotonic()
        well_since_s = None if missing else well_since_s or now_s
        if well_since_s is not None and now_s >= well_since_s + _STEADY_S:
            return ""
        if now_s >= began_s + within_s:
            return f"not up within {within_s:g} s: {'; '.join(missing) or 'not steadily'}"
        await asyncio.sleep(_LOOK_S)


def _missing(life: Life, before: Before, configured: Collection[str]) -> list[str]:
    missing = [] if life.is_greeted() else ["the hub has not greeted"]
    devices = life.devices()
    missing += [f"device {name} is not up" for name in sorted(before.up & set(configured)) if not devices.get(name)]
    return missing + [f"{name}: {why}" for name, why in life.failing().items() if name not in before.failing]
