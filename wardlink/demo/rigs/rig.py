"""What every simulated device of the demo does: make ready, give its part of the gateway's settings, start, go wrong on request."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from wardlink.local.places import Places
    from wardlink.processes import Processes

PULL_LEAD, DROP_LINK, GARBAGE, WRONG_CLOCK = DEVICE_FAULTS = "pull-lead", "drop-link", "garbage", "wrong-clock"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a demo stands: its folder, the file that switches the devices on, the places of local programs, how fast devices play."""

    folder: Path
    switched_on: Path
    places: "Places"
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """What a device measures: a WFDB record (path without extension), from `start_s`, with a silence before it begins again."""

    path: Path
    start_s: float = 0.0
    loop_pause_s: float | None = 8.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line for the standard input of a simulator, `after_s` from now."""

    after_s: float
    text: str


class Rig(Protocol):
    """A device, or several that share a process. `name` is that of its process; `devices` are the ids of the settings."""

    @property
    def name(self) -> str:
        """The process."""
        ...

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of its devices."""
        ...

    def fault(self, name: str, seconds: float) -> Sequence[Line]:
        """What to tell its process so that one of DEVICE_FAULTS lasts so long; nothing where this device cannot have it."""
        ...

    def prepare(self, ground: Ground) -> None:
        """Make keys and folders, before the agent starts."""
        ...

    def settings(self, ground: Ground) -> str:
        """Its part of the gateway's settings, as TOML."""
        ...

    def environment(self, ground: Ground) -> dict[str, str]:
        """What the agent's environment needs for it."""
        ...

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Plug it in. It measures once `ground.switched_on` is there."""
        ...

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether the gateway could open it by now."""
        ...


class Plain:
    """What most devices need nothing for."""

    _can: ClassVar[tuple[str, ...]] = (PULL_LEAD, DROP_LINK, GARBAGE, WRONG_CLOCK)

    def fault(self, name: str, seconds: float) -> Sequence[Line]:
        """A line that the simulators take: the fault and for how long."""
        return (Line(0, f"{name} {math.ceil(seconds)}"),) if name in self._can else ()

    def prepare(self, ground: Ground) -> None:
        """Nothing to make ready."""

    def environment(self, ground: Ground) -> dict[str, str]:
        """Nothing."""
        del ground
        return {}
