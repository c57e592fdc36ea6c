"""How the hub's own machine is: read every few seconds, a metric, a line in the log when something becomes short. The rule is `models.machine`'s."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import structlog
from prometheus_client import Gauge

from models.machine import Processor, Warnings, disk_percent, memory_percent, processor

LOOK_EVERY_S = 5.0
_PERCENT = Gauge("hub_machine_percent", "How much of the hub's machine is in use", ["what"])

_log = structlog.get_logger()


class Machine:
    """`percent` of cpu, memory and the disk of `folder`, and `warnings`: what is short now; `proc`: where the kernel's files are."""

    def __init__(self, proc: Path = Path("/proc"), folder: Path = Path("/")) -> None:
        """Nothing is read yet."""
        self.proc, self._folder = proc, folder
        self._before: Processor | None = None
        self._state = Warnings()
        self.percent: dict[str, float] = {}

    @property
    def warnings(self) -> list[str]:
        """`cpu`, `memory`, `disk`."""
        return sorted(self._state.holds)

    async def watch(self) -> None:
        """Look for ever; run it as a task."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Once."""
        with suppress(OSError, ValueError):
            now = processor((self.proc / "stat").read_text(encoding="ascii"))
            busy = None if self._before is None else now.percent_since(self._before)
            self._before = now
            if busy is not None:
                self.percent["cpu"] = round(busy, 1)
        with suppress(OSError, ValueError):
            self.percent["memory"] = round(memory_percent((self.proc / "meminfo").read_text(encoding="ascii")), 1)
        with suppress(OSError):
            self.percent["disk"] = round(disk_percent(os.statvfs(self._folder)), 1)
        for name, value in self.percent.items():
            _PERCENT.labels(what=name).set(value)
        before, self._state = self._state, self._state.after(self.percent)
        for name in sorted(before.holds ^ self._state.holds):
            event = "hub-short" if name in self._state.holds else "hub-not-short"
            _log.warning(event, what=name, percent=self.percent[name])
