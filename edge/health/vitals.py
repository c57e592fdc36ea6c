"""How the gateway's machine is: processor, memory, disk, temperature, and what the agent takes of them. Reads the kernel's files.

When something is short, is `models.machine`'s rule.
"""

import os
import platform
import time
from contextlib import suppress
from pathlib import Path

from models.machine import THRESHOLDS, Processor, Warnings, disk_percent, memory_percent, processor

LOOK_EVERY_S = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """`look` reads anew, at most each `LOOK_EVERY_S`; `params` are what it found, for the state of the gateway."""

    def __init__(self, state_dir: Path, proc: Path = Path("/proc"), thermal: Path = Path("/sys/class/thermal")) -> None:
        """`proc`, `thermal`: where the kernel's files are."""
        self._state_dir, self._proc, self._thermal = state_dir, proc, thermal
        self._before: Processor | None = None
        self._used_s, self._looked_s = time.process_time(), 0.0
        self._warnings = Warnings()
        self.params: dict[str, float | int | str] = {
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
        }

    @property
    def warnings(self) -> list[str]:
        """What is short now: `cpu`, `memory`, `disk`."""
        return sorted(self._warnings.holds)

    def percent(self, what: str) -> float:
        """How much of it is in use, as last looked at."""
        return float(self.params.get(f"{what}_percent", 0))

    def told(self) -> dict[str, object]:
        """The same for the gateway's own page."""
        return {**self.params, "warnings": self.warnings}

    def look(self) -> list[tuple[str, bool]]:
        """What has become short (True) or is not any more (False) since the last look; nothing when that was a moment ago."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return []
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        found = self._shares(passed_s)
        self.params |= found
        temperature = self._temperature()
        if temperature is not None:
            self.params["temperature_c"] = temperature
        before = self._warnings
        self._warnings = before.after(
            {name: found[f"{name}_percent"] for name in THRESHOLDS if f"{name}_percent" in found}
        )
        return [
            *((name, True) for name in sorted(self._warnings.holds - before.holds)),
            *((name, False) for name in sorted(before.holds - self._warnings.holds)),
        ]

    def _shares(self, passed_s: float) -> dict[str, float]:
        """A file that a kernel has not got, or has in another form, says nothing."""
        found: dict[str, float] = {}
        with suppress(OSError, ValueError):
            now = processor((self._proc / "stat").read_text(encoding="ascii"))
            busy = None if self._before is None else now.percent_since(self._before)
            self._before = now
            if busy is not None:
                found["cpu_percent"] = round(busy, 1)
        used_s = time.process_time()
        found["agent_cpu_percent"] = round(100 * (used_s - self._used_s) / passed_s, 1)
        self._used_s = used_s
        with suppress(OSError, ValueError):
            found["memory_percent"] = round(memory_percent((self._proc / "meminfo").read_text(encoding="ascii")), 1)
        with suppress(OSError, ValueError, IndexError):
            pages = int((self._proc / "self/statm").read_text(encoding="ascii").split()[1])
            found["agent_memory_bytes"] = pages * _PAGE_BYTES
        with suppress(OSError):
            # Answered from memory, also on a disk that hangs: the spool's open files keep the way to the folder there.
            found["disk_percent"] = round(disk_percent(os.statvfs(self._state_dir)), 1)
        with suppress(OSError, ValueError):
            found["machine_uptime_s"] = int(float((self._proc / "uptime").read_text(encoding="ascii").split()[0]))
        return found

    def _temperature(self) -> float | None:
        """The hottest zone, degrees Celsius."""
        found: list[float] = []
        for zone in self._thermal.glob("thermal_zone*/temp"):
            with suppress(OSError, ValueError):
                found.append(int(zone.read_text(encoding="ascii")) / 1000)
        return round(max(found), 1) if found else None
