"""An ECG cart: it leaves a 12-lead ECG of 10 s in a folder that the gateway watches, and another one every few minutes."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardlink.demo.rigs.rig import GARBAGE, PULL_LEAD, WRONG_CLOCK, Ground, Plain

if TYPE_CHECKING:
    from wardlink.processes import Processes


@dataclass(frozen=True)
class CartRig(Plain):
    """A cart that has recorded `records` (WFDB) and holds `files` (HL7 aECG) of patients seen before."""

    _can = (PULL_LEAD, GARBAGE, WRONG_CLOCK)  # a folder has no link that could drop

    name: str
    records: tuple[Path, ...]
    files: tuple[Path, ...] = ()
    every_s: float = 180.0

    @property
    def devices(self) -> tuple[str, ...]:
        """One cart."""
        return (self.name,)

    def folder(self, ground: Ground) -> Path:
        """What the gateway watches."""
        return ground.folder / "carts" / self.name

    def prepare(self, ground: Ground) -> None:
        """Make the folder."""
        self.folder(ground).mkdir(parents=True, exist_ok=True)

    def settings(self, ground: Ground) -> str:
        """A door of the gateway's settings."""
        return f"""[[doors]]
name = "folder"
kind = "folder"
url = {json.dumps(self.folder(ground).parent.as_uri())}
[[doors.devices]]
id = {json.dumps(self.name)}
"""

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start its simulator."""
        command = [sys.executable, "-m", "firmware_adapters.simulate.cart", str(self.folder(ground))]
        command += ["--record", *map(str, self.records), "--every-s", str(self.every_s), "--speed", str(ground.speed)]
        if self.files:
            command += ["--file", *map(str, self.files)]
        processes.start(self.name, [*command, "--wait-for", str(ground.switched_on)], environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether its folder is there."""
        return self.folder(ground).is_dir()
