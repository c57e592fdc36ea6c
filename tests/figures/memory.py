"""Figures `edge-memory`, `edge-memory-growth`, `edge-start`: what the agent of the demo's gateway holds, whether reconnections add to it, how fast it starts."""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.figures.entry import Entry, Figure
from wardlink.demo.installation import Installation
from wardlink.demo.rigs.rig import DROP_LINK
from wardlink.demo.ward import Recordings, ward
from wardlink.local.places import default_places

CAPTURES = Path(__file__).parents[1] / "captures"
EVERY_S = 5.0
DROP_S = 1  # how long a link is away
BETWEEN_S = 8.0  # the link has been back for longer than the agent's longest pause, and is opened at once again
DROPPED = ("amplifier-1", "oximeter-1", "strap-2")
MB = 1e6


@dataclass(frozen=True, slots=True)
class Form:
    """How long a run takes: playing first, then links that come and go, a rest, and the watch for growth."""

    play_s: float
    reconnects: int
    rest_s: float
    watch_s: float
    note: str = ""


SHORT = Form(120.0, 45, 120.0, 240.0, "9 of 10 minutes")
LONG = Form(600.0, 1002, 120.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at a moment (seconds), bytes: proportional set size, and of it the pages that are no file's and its own."""

    at_s: float
    pss: int
    own: int


def held_by(pid: int) -> Held:
    """Its own memory, and its share of what it shares with others, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    bytes_of = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
    return Held(time.monotonic(), bytes_of["Pss"], bytes_of["Pss_Anon"] + bytes_of["Pss_Shmem"])


def growth_per_hour(at: Sequence[float], bytes_held: Sequence[int]) -> tuple[float, float, float]:
    """Slope in bytes an hour by least squares over seconds, with its 95 % interval."""
    at_s, held = np.array(at, dtype=float), np.array(bytes_held, dtype=float)
    at_h = (at_s - at_s.mean()) / 3600
    spread = float(at_h @ at_h)
    slope = float(at_h @ held) / spread
    left = held - held.mean() - slope * at_h
    error = 1.96 * float(np.sqrt(left @ left / (len(held) - 2) / spread))
    return slope, slope - error, slope + error


def _measure(form: Form) -> Sequence[Entry]:
    folder = Path(tempfile.mkdtemp(prefix="wl-"))  # short: sockets have short paths; open: the server is another user
    folder.chmod(0o755)
    places = replace(default_places(os.environ, None), data=folder / "data", database_url=None)
    beds = ward(Recordings(CAPTURES, None))
    try:
        with Installation(places, folder / "ward", beds, progress=lambda _line: None) as site:
            site.switch_on()
            pid = site.processes.pid("agent")
            devices = [device for rig in site.rigs for device in rig.devices]

            def watch(seconds: float, turn: Callable[[], None] = lambda: None, every_s: float = EVERY_S) -> list[Held]:
                seen: list[Held] = []
                until_s = time.monotonic() + seconds
                while time.monotonic() < until_s:
                    turn()
                    time.sleep(every_s)
                    site.processes.check()
                    seen.append(held_by(pid))
                return seen

            playing = watch(form.play_s)
            turns = form.reconnects // len(DROPPED)
            dropping = watch(turns * BETWEEN_S, lambda: _drop(site), BETWEEN_S - DROP_S)
            watch(form.rest_s)
            after = watch(form.watch_s)
            log = site.processes.log("agent").read_text("utf-8", "replace")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lost = _links_lost(log)
    if few := {device: n for device, n in lost.items() if n < turns}:
        msg = f"expected that each link went {turns} times, the agent tells of {few}"
        raise ValueError(msg)
    return [*entries(form, len(devices), playing, dropping, after, lost), _started(log)]


def _links_lost(log: str) -> dict[str, int]:
    """How often the agent says in its log that it lost each device."""
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    lost = Counter(event.get("device") for event in events if event.get("event") == "link-lost")
    return {device: lost[device] for device in DROPPED}


def _started(log: str) -> Entry:
    """From the agent's start to the first sample that it took, as it tells in its log."""
    events = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    [first] = [event for event in events if event.get("event") == "first-data"]
    return Entry(
        id="edge-start", group="edge", value=first["after_s"], unit="s to the first sample", gate=3, goal=1.5, reference="",
        higher_is_better=False, n=1, details={"CPU seconds": first["processor_s"]},
    )  # fmt: skip


def _drop(site: Installation) -> None:
    rigs = [rig for rig in site.rigs if rig.name in DROPPED]
    lines = [(rig.name, line) for rig in rigs for line in rig.fault(DROP_LINK, DROP_S)]
    if {name for name, _ in lines} != set(DROPPED):
        msg = f"expected that each of {', '.join(DROPPED)} can lose its link, found {lines}"
        raise ValueError(msg)
    for wait_s, due in (
        (0, [one for one in lines if one[1].after_s <= 0]),
        (DROP_S, [one for one in lines if one[1].after_s > 0]),
    ):
        time.sleep(wait_s)
        for name, line in due:
            site.processes.say(name, line.text)


def entries(
    form: Form,
    devices: int,
    playing: Sequence[Held],
    dropping: Sequence[Held],
    after: Sequence[Held],
    told: Mapping[str, int],
) -> list[Entry]:
    """Both numbers, with what was held when."""
    most = max(held.pss for held in (*playing, *dropping, *after))
    at_s = [held.at_s for held in after]
    slope, low, high = growth_per_hour(at_s, [held.own for held in after])
    with_files, *_ = growth_per_hour(at_s, [held.pss for held in after])
    story: dict[str, object] = {
        "devices": devices,
        "held at the end of playing, of the reconnections, of the watch": " / ".join(
            f"{part[-1].pss / MB:.1f} MB" for part in (playing, dropping, after)
        ),
        "times that a link went, by the agent's log": ", ".join(f"{name} {n}" for name, n in told.items()),
    }
    return [
        Entry(
            id="edge-memory", group="edge", value=round(most / MB, 1), unit="MB", gate=150, goal=100, reference="",
            higher_is_better=False, n=len(playing) + len(dropping) + len(after), note=form.note, details=story,
        ),
        Entry(
            id="edge-memory-growth", group="edge", value=round(slope / MB, 2), unit="MB/h", gate=1, goal=0, reference="",
            higher_is_better=False, n=form.reconnects, interval=(round(low / MB, 2), round(high / MB, 2)),
            note=f"{form.watch_s / 60:.0f} of 60 minutes, {form.reconnects} of 1,000 reconnections" if form.note else "",
            details={"with its share of files' pages": f"{with_files / MB:+.2f} MB/h"},
        ),
    ]  # fmt: skip


def measure(_: Path) -> Sequence[Entry]:
    """The short form."""
    return _measure(SHORT)


def measure_long(_: Path) -> Sequence[Entry]:
    """As the figure is meant: an hour behind a thousand reconnections."""
    return _measure(LONG)


FIGURES = (
    Figure(
        "edge-memory",
        "edge",
        measure,
        code=("edge", "firmware_adapters", "models", "protocols", "wardlink", "tests/figures"),
        cached=False,
        yields=("edge-memory", "edge-memory-growth", "edge-start"),
        long=measure_long,
    ),
)
