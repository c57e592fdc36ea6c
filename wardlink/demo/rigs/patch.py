"""A wireless ECG patch and a thermometer on one patient, which send SenML over CoAP with OSCORE."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firmware_adapters.transport.coap_keys import make_oscore
from wardlink.demo.rigs.rig import Ground, Plain, Recording
from wardlink.local.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from wardlink.processes import Processes


@dataclass
class PatchRig(Plain):
    """`name`: the patch; `thermometer`: its neighbour. One process plays both."""

    name: str
    thermometer: str
    recording: Recording
    port: int = field(default_factory=free_port)

    @property
    def devices(self) -> tuple[str, ...]:
        """Both."""
        return (self.name, self.thermometer)

    def _keys(self, ground: Ground) -> "Path":
        return ground.folder / "coap"

    def prepare(self, ground: Ground) -> None:
        """A context for each, once: what counts messages must never begin anew."""
        keys = self._keys(ground)
        keys.mkdir(mode=0o700, exist_ok=True)
        for device in self.devices:
            if not (keys / f"{device}.gateway").exists():
                make_oscore(device, keys)

    def settings(self, ground: Ground) -> str:
        """A door of the gateway's settings."""
        keys = self._keys(ground)
        lines = ["[[doors]]", 'name = "coap"', 'kind = "coap"', f'url = "coap://127.0.0.1:{self.port}/packages"']
        for device in self.devices:
            lines += ["[[doors.devices]]", f"id = {json.dumps(device)}"]
            lines.append(f"oscore = {json.dumps(str(keys / f'{device}.gateway'))}")
        return "\n".join(lines) + "\n"

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start both; they try until the door is open."""
        keys = self._keys(ground)
        words = [sys.executable, "-m", "firmware_adapters.simulate.patch", str(self.recording.path)]
        words.append(f"coap://127.0.0.1:{self.port}/packages")
        for option, device in zip(("--patch", "--thermometer"), self.devices, strict=True):
            words += [option, f"{device}={keys / f'{device}.device'}"]
        words += ["--start-s", str(self.recording.start_s)]
        words += ["--wait-for", str(ground.switched_on), "--speed", str(ground.speed)]
        processes.start(self.name, words, environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """They need nothing but the gateway."""
        del ground
        return True
