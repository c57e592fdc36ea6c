"""How busy a machine is, from the kernel's own texts, and when that is worth a warning. Pure: text in, numbers out.

Gateway and hub read the same files and warn by the same rule: processor at 80 %, memory at 85 %, disk at 80 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

_IDLE = (3, 4)  # idle and iowait among the times of the line `cpu` of /proc/stat (proc(5))


@dataclass(frozen=True, slots=True)
class Threshold:
    """From `begin` percent on, for `looks` looks one behind the other; until it is below `end`."""

    begin: float
    end: float
    looks: int


# Percent. A peak of a few seconds is no shortage: a processor must be busy for three looks, and memory is not given back by chance.
THRESHOLDS: Mapping[str, Threshold] = MappingProxyType(
    {"cpu": Threshold(80, 70, 3), "memory": Threshold(85, 80, 2), "disk": Threshold(80, 75, 2)}
)


@dataclass(frozen=True, slots=True)
class Warnings:
    """What is short (`holds`), and how many looks one behind the other each was above its begin."""

    holds: frozenset[str] = frozenset()
    above: Mapping[str, int] = field(default_factory=lambda: MappingProxyType(dict[str, int]()))

    def after(self, percent: Mapping[str, float]) -> "Warnings":
        """The same after one more look; what was not looked at stays as it was."""
        holds, above = set(self.holds), dict(self.above)
        for name, threshold in THRESHOLDS.items():
            value = percent.get(name)
            if value is None:
                continue
            above[name] = above.get(name, 0) + 1 if value >= threshold.begin else 0
            if above[name] >= threshold.looks:
                holds.add(name)
            elif value < threshold.end:
                holds.discard(name)
        return replace(self, holds=frozenset(holds), above=MappingProxyType(above))


@dataclass(frozen=True, slots=True)
class Processor:
    """Ticks of all processors since the machine began: how many were busy, and all."""

    busy: int
    total: int

    def percent_since(self, before: "Processor") -> float | None:
        """How busy they were since `before`; None when no time has passed."""
        total = self.total - before.total
        return None if total <= 0 else 100 * max(0, self.busy - before.busy) / total


def processor(stat: str) -> Processor:
    """From the text of /proc/stat; ValueError when it is none."""
    name, *times = stat.partition("\n")[0].split()
    if name != "cpu":
        msg = f"/proc/stat: expected a first line of cpu, found {name!r}"
        raise ValueError(msg)
    ticks = [int(time) for time in times[:8]]  # guest times are in those of user
    return Processor(sum(t for i, t in enumerate(ticks) if i not in _IDLE), sum(ticks))


def memory_percent(meminfo: str) -> float:
    """What programs cannot have of the memory any more, from the text of /proc/meminfo; ValueError when it is none."""
    sizes = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in meminfo.splitlines()) if rest
    }
    try:
        return 100 * (1 - sizes["MemAvailable"] / sizes["MemTotal"])
    except (KeyError, ZeroDivisionError) as error:
        msg = f"/proc/meminfo: expected MemTotal and MemAvailable, found {', '.join(sorted(sizes))}"
        raise ValueError(msg) from error


class FileSystem(Protocol):
    """What `os.statvfs` tells; in blocks."""

    @property
    def f_blocks(self) -> int:
        """All."""
        ...

    @property
    def f_bfree(self) -> int:
        """Free, with those that only root may take."""
        ...

    @property
    def f_bavail(self) -> int:
        """Free for anybody."""
        ...


def disk_percent(system: FileSystem) -> float:
    """How full a disk is for one who is not root, as df tells it; 0 of a file system without blocks."""
    used = system.f_blocks - system.f_bfree
    return 100 * used / (used + system.f_bavail) if used + system.f_bavail else 0.0
