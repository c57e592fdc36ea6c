"""Chest straps over Bluetooth LE: a bus of the demo's own with a simulated radio on it, which the agent takes for the system's."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardlink.demo.rigs.rig import DROP_LINK, GARBAGE, PULL_LEAD, WRONG_CLOCK, Ground, Line, Plain, Recording
from wardlink.local.parts import find_or_unpack

if TYPE_CHECKING:
    from wardlink.processes import Processes

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""
_BUS_WITHIN_S, _LOOK_AGAIN_S = 10.0, 0.02
_ACCELERATION_HZ = 25  # the least there is; how somebody lies does not change in a second
# what lasts is turned on and off by the same line; what happens once needs one
_LASTING = {PULL_LEAD: "pull-lead", DROP_LINK: "away", WRONG_CLOCK: "wrong-clock"}
_ONCE = {GARBAGE: "garbage"}


@dataclass(frozen=True)
class StrapRig(Plain):
    """A strap at `address`, with lead `lead` across the chest; it plays one recording behind the other."""

    name: str
    address: str
    lead: str
    recordings: tuple[Recording, ...]

    @property
    def devices(self) -> tuple[str, ...]:
        """One strap."""
        return (self.name,)

    def _socket(self, ground: Ground) -> Path:
        return ground.folder / f"{self.name}.bus"

    def fault(self, name: str, seconds: float) -> Sequence[Line]:
        """All four; a strap that is out of reach comes back."""
        if name in _ONCE:
            return (Line(0, f"{_ONCE[name]} {self.address}"),)
        line = f"{_LASTING[name]} {self.address}"
        return Line(0, line), Line(seconds, line)

    def settings(self, ground: Ground) -> str:
        """A device of the gateway's settings."""
        del ground
        lines = [f"[[devices]]\nid = {json.dumps(self.name)}", 'family = "polar"', f'url = "ble:{self.address}"']
        # as the simulated strap sits; a real one is tried out: docs/how-to/bluetooth-door.md
        axes = 'options.axes = { x = "left", y = "head", z = "front" }'
        lines += [f"options.lead = {json.dumps(self.lead)}", f"options.acceleration_hz = {_ACCELERATION_HZ}", axes]
        return "\n".join(lines) + "\n"

    def environment(self, ground: Ground) -> dict[str, str]:
        """Where the agent finds the bus with the radio on it."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._socket(ground)}"}

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start the bus, and the radio with the strap on it."""
        socket, daemon = self._socket(ground), find_or_unpack("dbus-daemon", ground.places, lambda _line: None)
        socket.unlink(missing_ok=True)
        configuration = socket.with_suffix(".conf")
        configuration.write_text(_BUS.format(socket=socket), "utf-8")
        words = [str(daemon.executable), f"--config-file={configuration}", "--nofork", "--nopidfile"]
        processes.start(f"{self.name}-bus", words, {**environment, **daemon.env})
        until_s = time.monotonic() + _BUS_WITHIN_S
        while not socket.is_socket() and time.monotonic() < until_s:  # else the radio says what it misses
            time.sleep(_LOOK_AGAIN_S)
        command = [sys.executable, "-m", "firmware_adapters.simulate.radio", f"unix:path={socket}"]
        records = os.pathsep.join(str(recording.path) for recording in self.recordings)
        command += [f"{self.address}={records}", "--start-s", str(self.recordings[0].start_s)]
        command += ["--speed", str(ground.speed), "--wait-for", str(ground.switched_on)]
        processes.start(self.name, command, environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether the bus is there; a strap is on the air only while it is worn."""
        return self._socket(ground).is_socket()
