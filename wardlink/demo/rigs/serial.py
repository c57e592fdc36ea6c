"""Devices on serial lines, played over pseudo-terminals: the ECG amplifier and the pulse oximeter."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wardlink.demo.rigs.rig import DROP_LINK, GARBAGE, PULL_LEAD, Ground, Plain, Recording

if TYPE_CHECKING:
    from wardlink.processes import Processes

Option: TypeAlias = str | Mapping[str, str]


@dataclass(frozen=True)
class SerialRig(Plain):
    """A device of `family` on a line of its own. `module` is its simulator, `records` and `extra` are what it is told to play."""

    _can = (PULL_LEAD, DROP_LINK, GARBAGE)  # neither device has a clock

    name: str
    family: str
    module: str
    records: tuple[Path, ...]
    extra: tuple[str, ...]
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])

    @property
    def devices(self) -> tuple[str, ...]:
        """One device."""
        return (self.name,)

    def port(self, ground: Ground) -> Path:
        """The line that the gateway opens."""
        return ground.folder / f"ttyUSB-{self.name}"

    def settings(self, ground: Ground) -> str:
        """A device of the gateway's settings."""
        lines = [f"[[devices]]\nid = {json.dumps(self.name)}\nfamily = {json.dumps(self.family)}"]
        lines.append(f"url = {json.dumps(str(self.port(ground)))}")
        lines += [f"options.{name} = {_toml(value)}" for name, value in self.options.items()]
        return "\n".join(lines) + "\n"

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start its simulator."""
        command = [sys.executable, "-m", self.module, *map(str, self.records), str(self.port(ground))]
        command += ["--wait-for", str(ground.switched_on), "--speed", str(ground.speed), *self.extra]
        processes.start(self.name, command, environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether the line is there."""
        return self.port(ground).is_symlink()


def amplifier(
    name: str, recordings: Sequence[Recording], channels: Mapping[str, str], *, lead_in_s: float = 0.0
) -> SerialRig:
    """An 8-channel ECG amplifier that plays one recording behind the other; `channels` maps its channels to ECG leads.

    `lead_in_s`: for so long its electrodes are not on yet.
    """
    first, last = recordings[0], recordings[-1]
    extra = ["--start-s", str(first.start_s), "--lead-in-s", str(lead_in_s)]
    if last.loop_pause_s is not None:
        extra += ["--loop-pause-s", str(last.loop_pause_s)]
    records = tuple(recording.path for recording in recordings)
    return SerialRig(name, "cyton", "firmware_adapters.simulate", records, tuple(extra), {"channels": channels})


def oximeter(
    name: str, recording: Recording, *, readings: Path | None = None, lead_in_s: float = 0.0, then_off_s: float = 0.0
) -> SerialRig:
    """A pulse oximeter in data format 7; `readings` says what it shows when.

    Before and behind the recording there is no finger in it, for `lead_in_s` and `then_off_s`; then the recording begins again.
    """
    extra = ["--start-s", str(recording.start_s), "--lead-in-s", str(lead_in_s), "--then-off-s", str(then_off_s)]
    if recording.loop_pause_s is not None:
        extra += ["--loop-pause-s", str(recording.loop_pause_s)]
    if readings is not None:
        extra += ["--readings", str(readings)]
    return SerialRig(name, "nonin", "firmware_adapters.simulate.nonin", (recording.path,), tuple(extra))


def _toml(value: Option) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
