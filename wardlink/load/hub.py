"""A hub for a load alone: database, roles, a ward with all beds, tokens for all gateways; and what it spends and has at the end."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from hub.store.whole import counts, pieces
from wardlink.demo.beds import DemoBed
from wardlink.demo.installation import ROLES, WARD, Installation
from wardlink.demo.rigs.rig import Ground, Plain
from wardlink.local.database.liveness import postmaster_pid

if TYPE_CHECKING:
    from wardlink.local.places import Places
    from wardlink.processes import Processes

Sent = tuple[int, str, int]
"""Of one device: samples, their SHA-256, readings."""

_TICKS = os.sysconf("SC_CLK_TCK")
_TOKENS_AT_ONCE = 2


@dataclass(frozen=True)
class _Expected(Plain):
    """A device that the hub is told of; a simulated gateway plays it."""

    name: str

    @property
    def devices(self) -> tuple[str, ...]:
        """One."""
        return (self.name,)

    def settings(self, ground: Ground) -> str:
        """None: no agent reads them."""
        del ground
        return ""

    def start(self, ground: Ground, processes: "Processes", environment: Mapping[str, str]) -> None:
        """Nothing of its own."""

    def is_plugged_in(self, ground: Ground) -> bool:
        """It needs no line."""
        del ground
        return True


class LoadHub(Installation):
    """`with LoadHub(...) as hub:` has a hub without a gateway; `tokens` enrol gateways."""

    def __init__(self, places: "Places", folder: Path, devices: Sequence[str]) -> None:
        """`devices`: of all gateways; each has a bed."""
        beds = [
            DemoBed(str(number), f"Load {number}", "other", date(1950, 1, 1), (_Expected(device),), ())
            for number, device in enumerate(devices, 1)
        ]
        super().__init__(places, folder, beds, progress=lambda _line: None)

    def _gateway_up(self) -> None:
        """There is none yet."""

    def tokens(self, names: Sequence[str]) -> dict[str, str]:
        """A token for each of these gateways."""

        def token(name: str) -> str:
            return self.hub("gateway", "add", name).strip().splitlines()[0]

        with ThreadPoolExecutor(_TOKENS_AT_ONCE) as beside:
            return dict(zip(names, beside.map(token, names), strict=True))

    def nurse(self) -> tuple[str, str]:
        """A ward, and a one-time link for somebody who may see it."""
        return WARD, self.invite("load")

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds that each process of the hub has taken so far, the database server with all that it has started."""
        taken = {role: sum(_times(self.processes.pid(role))[:2]) / _TICKS for role in ROLES}
        pid = postmaster_pid(self.database.layout.data)
        if pid is not None:
            children = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
            ticks = sum(_times(pid)) + sum(sum(_times(child)) for child in children if _parent(child) == pid)
            taken["database"] = ticks / _TICKS
        return taken

    def missing(self, sources: Mapping[str, Sent]) -> list[str]:
        """Sentences on what was sent and is not in the tables as it was sent."""
        return missing(self.database.admin_url, sources)


def missing(url: str, sources: Mapping[str, Sent]) -> list[str]:
    """Sentences on what was sent, by device, and is not in the tables of the database at `url` as it was sent; [] when all is."""
    wrong: list[str] = []
    with closing(psycopg.connect(url)) as connection:
        readings = counts(connection)
        for device, (samples, digest, sent) in sources.items():
            if (found := readings.get(device, 0)) != sent:
                wrong.append(f"{device}: {found} of {sent} readings are stored")
            stored, stored_digest = _digest(connection, f"{device}/ecg")
            if stored != samples:
                wrong.append(f"{device}: {stored} of {samples} samples are stored in one row")
            elif stored_digest != digest:
                wrong.append(f"{device}: the stored samples have another SHA-256 than those that were sent")
    return wrong


def _digest(connection: "psycopg.Connection[tuple[object, ...]]", path: str) -> tuple[int, str]:
    """How many samples follow each other without a hole or a second copy from 0 on, and their SHA-256, lead after lead in each."""
    found, end = hashlib.sha256(), 0
    for piece in pieces(connection, path):
        if piece.first_sample != end:
            break
        found.update(piece.samples.T.tobytes())
        end += piece.samples.shape[1]
    return end, found.hexdigest()


def _times(pid: int) -> list[int]:
    """proc(5): user and system ticks, and those of children that have ended; zeros when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [0, 0, 0, 0]
    return [int(ticks) for ticks in fields[11:15]]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
