"""What every simulated device of the demo does: make ready, give its part of the gateway's settings, start, go wrong on request."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wardlink.local.places import Places
    from wardlink.processes import Processes


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a demo stands: its folder, the file that switches the devices on, the places of local programs."""

    folder: Path
    switched_on: Path
    places: "Places"


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

    @property
    def faults(self) -> Mapping[str, str]:
        """What can go wrong: the demo's word, and the line that makes it so on the standard input of the process."""
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

    faults: Mapping[str, str] = {}

    def prepare(self, ground: Ground) -> None:
        """Nothing to make ready."""

    def environment(self, ground: Ground) -> dict[str, str]:
        """Nothing."""
        del ground
        return {}
