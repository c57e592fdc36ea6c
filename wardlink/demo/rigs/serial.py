"""Devices on serial lines, played over pseudo-terminals: the ECG amplifier and the pulse oximeter."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from wardlink.demo.rigs.rig import Ground, Plain

if TYPE_CHECKING:
    from wardlink.processes import Processes

Option: TypeAlias = str | Mapping[str, str]
_FAULTS = MappingProxyType({name: name for name in ("pull-lead", "drop-link", "garbage", "wrong-clock")})


@dataclass(frozen=True, slots=True)
class Recording:
    """What a device measures: a WFDB record (path without extension), from `start_s`, with a silence before it begins again."""

    path: Path
    start_s: float = 0.0
    loop_pause_s: float | None = 8.0

    def arguments(self) -> list[str]:
        """The same for a simulator's command."""
        loop = [] if self.loop_pause_s is None else ["--loop-pause-s", str(self.loop_pause_s)]
        return ["--start-s", str(self.start_s), *loop]


@dataclass(frozen=True)
class SerialRig(Plain):
    """A device of `family` on a line of its own. `module` is its simulator."""

    name: str
    family: str
    module: str
    recording: Recording
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    extra: tuple[str, ...] = ()

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
        command = [sys.executable, "-m", self.module, str(self.recording.path), str(self.port(ground))]
        command += [*self.recording.arguments(), "--wait-for", str(ground.switched_on), *self.extra]
        processes.start(self.name, command, environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether the line is there."""
        return self.port(ground).is_symlink()


def amplifier(name: str, recording: Recording, channels: Mapping[str, str]) -> SerialRig:
    """An 8-channel ECG amplifier; `channels` maps its channels to ECG leads."""
    return SerialRig(name, "cyton", "firmware_adapters.simulate", recording, {"channels": channels})


def oximeter(name: str, recording: Recording, readings: Path | None = None) -> SerialRig:
    """A pulse oximeter in data format 7; `readings` says what it shows when."""
    extra = () if readings is None else ("--readings", str(readings))
    return SerialRig(name, "nonin", "firmware_adapters.simulate.nonin", recording, {}, extra)


def _toml(value: Option) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
