"""Bedside monitors that send device packages: one over MQTT with a broker of the demo's own, one over HTTPS with signed requests."""

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wardlink.demo.papers import Papers
from wardlink.demo.rigs.rig import Ground, Plain, Recording
from wardlink.local.broker import write_broker
from wardlink.local.parts import find_or_unpack
from wardlink.local.ports import free_port

if TYPE_CHECKING:
    from wardlink.processes import Processes

_SIMULATOR = "firmware_adapters.simulate.monitor"


@dataclass
class _MonitorRig(Plain):
    """What both have. `numbers`: a CSV file with a row a second."""

    name: str
    recording: Recording
    numbers: Path | None = None
    signals: bool = True
    port: int = field(default_factory=free_port)
    more: tuple[str, ...] = ()  # further words for the simulator

    @property
    def devices(self) -> tuple[str, ...]:
        """One monitor."""
        return (self.name,)

    def _play(self, url: str, ca: Path, key: Path, ground: Ground) -> list[str]:
        words = [sys.executable, "-m", _SIMULATOR, self.name, url, "--ca", str(ca), "--key", str(key)]
        words += ["--record", str(self.recording.path)] if self.signals else []
        words += [] if self.numbers is None else ["--numbers", str(self.numbers)]
        words += [
            "--start-s",
            str(self.recording.start_s),
            "--wait-for",
            str(ground.switched_on),
            "--speed",
            str(ground.speed),
            *self.more,
        ]
        return (
            words
            if self.recording.loop_pause_s is None
            else [*words, "--loop-pause-s", str(self.recording.loop_pause_s)]
        )


@dataclass
class MqttRig(_MonitorRig):
    """A monitor and its broker. `gateway`: the name by which the broker knows the agent."""

    gateway: str = "gateway"

    def _papers(self, ground: Ground) -> Papers:
        return Papers(ground.folder / "broker")

    def prepare(self, ground: Ground) -> None:
        """Certificates for broker, gateway and monitor, and the broker's settings."""
        papers = self._papers(ground)
        for name in (self.name, self.gateway):
            papers.of(name)
        papers.of("broker", is_server=True)
        write_broker(papers.folder, self.port, [self.gateway], user="root" if os.geteuid() == 0 else "")

    def settings(self, ground: Ground) -> str:
        """A door of the gateway's settings."""
        papers = self._papers(ground)
        certificate, key = papers.of(self.gateway)
        return f"""[[doors]]
name = "mqtt"
kind = "mqtt"
url = "mqtts://127.0.0.1:{self.port}/bedside"
[doors.options]
ca = {json.dumps(str(papers.ca))}
certificate = {json.dumps(str(certificate))}
key = {json.dumps(str(key))}
[[doors.devices]]
id = {json.dumps(self.name)}
"""

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start the broker and the monitor."""
        self.start_broker(ground, processes, environment)
        papers = self._papers(ground)
        certificate, key = papers.of(self.name)
        words = self._play(f"mqtts://127.0.0.1:{self.port}/bedside", papers.ca, key, ground)
        processes.start(self.name, [*words, "--certificate", str(certificate)], environment, listens=True)

    @property
    def broker(self) -> str:
        """The broker's process."""
        return f"{self.name}-broker"

    def start_broker(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start the broker alone: the first time, or when it has ended."""
        program = find_or_unpack("mosquitto", ground.places, lambda _line: None)
        settings = self._papers(ground).folder / "mosquitto.conf"
        processes.start(self.broker, [str(program.executable), "-c", str(settings)], {**environment, **program.env})

    def is_plugged_in(self, ground: Ground) -> bool:
        """Whether the broker answers."""
        del ground
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class HttpsRig(_MonitorRig):
    """A monitor that signs its requests to the gateway's own door."""

    def _papers(self, ground: Ground) -> Papers:
        return Papers(ground.folder / "https-door")

    def settings(self, ground: Ground) -> str:
        """A door of the gateway's settings."""
        papers = self._papers(ground)
        certificate, key = papers.of("door", is_server=True)
        public, _ = papers.signing_key(self.name)
        return f"""[[doors]]
name = "https"
kind = "http"
url = "https://127.0.0.1:{self.port}/packages"
[doors.options]
certificate = {json.dumps(str(certificate))}
key = {json.dumps(str(key))}
[[doors.devices]]
id = {json.dumps(self.name)}
public_key = {json.dumps(str(public))}
"""

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Start the monitor; it tries until the door is open."""
        papers = self._papers(ground)
        _, private = papers.signing_key(self.name)
        words = self._play(f"https://127.0.0.1:{self.port}/packages", papers.ca, private, ground)
        processes.start(self.name, words, environment, listens=True)

    def is_plugged_in(self, ground: Ground) -> bool:
        """It needs nothing but the gateway."""
        del ground
        return True
