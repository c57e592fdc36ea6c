"""Figures `drain` and `drain-alarms`: how fast a ward's past comes out of a real spool, and how long alarms take meanwhile.

The agent's own spool, batcher and uplink run here, the hub's ingest is a process of its own with a server of its own. The spool was
written by the agent's writer at full speed and is kept in build/figures-drain between runs; each run works on a copy.
"""

import asyncio
import itertools
import math
import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from edge.pipeline.batcher import Batcher
from edge.spool import KeySource, Limits, Spool
from edge.spool.frame import Frame
from edge.spool.store import LOG_OF, Store
from edge.uplink import ClientPapers, Route, Uplink
from edge.uplink.client import Downlink
from protocols import device_package_pb2 as wire
from protocols.ecgfile.wfdb import read_record
from protocols.link import CannotResend, Connection, Lane, LinkSender, Position
from protocols.nomenclature import HEART_RATE, V_FIB, lead
from protocols.record import (
    NS_PER_S,
    AlarmCondition,
    AlarmKind,
    Observation,
    Presence,
    Priority,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
    alarm_id,
)
from protocols.uplink_pb2 import Envelope, Placement, PlacementApplied, Settings
from protocols.wire import decode_record, encode_batch, encode_record
from tests.figures.cpu import cpu_of, server_cpu
from tests.figures.entry import Entry, Figure
from tests.figures.hub_rows import new_hub, server
from tests.fixtures.gateway_peer import Credentials
from tests.fixtures.hub import running_hub
from tests.fixtures.hub_process import start_hub
from wardlink.local.database import Database

DEVICES = 8
RECORDS = ("100", "103", "106", "119", "200", "207", "213", "231")  # of mitdb: two leads
FS_HZ = 360
READINGS = 2  # a second of each device
BATCHES_A_S = 4  # where the batcher closes: 250 ms
PLAYED_S = 600  # of each recording, again and again
COMMIT_S = 60  # of the past in one write, when the spool is made
ALARMS_A_S = 5
WARM_UP_S = 3.0
KEPT = Path(__file__).parents[2] / "build" / "figures-drain"
LANES = (Lane.NUMERIC, Lane.WAVEFORM)


@dataclass(frozen=True, slots=True)
class Form:
    """`hours`: in the spool; `calm_s`: alarms without a backlog; `drain_s`: of the drain, at most."""

    hours: int
    calm_s: float
    drain_s: float
    note: str = ""


SHORT = Form(2, 30.0, 60.0, "60 s at most, out of a spool of 2 h, not 5 minutes of 72 h")
LONG = Form(72, 60.0, 300.0)


class Ward:
    """Eight monitors: what each measures in a second, packed once and dated anew."""

    def __init__(self, recordings: Path) -> None:
        """Read the recordings of mitdb."""
        self._samples: list[list[wire.Record]] = []
        for device, name in enumerate(RECORDS):
            record = read_record(recordings / "mitdb" / name)
            n = FS_HZ
            scales = tuple(Scale(1000 / s.gain, 0.0, "uV") for s in record.header.signals)
            seconds: list[wire.Record] = []
            for second in range(PLAYED_S):
                samples = np.ascontiguousarray(record.raw[:, second * n : (second + 1) * n], "<i2").tobytes()
                group = WaveformGroup(
                    SourcePath(f"monitor-{device}", ("ecg",)), (lead("II"), lead("V1")), record.fs_hz, 0, samples, "<i2",
                    scales, Times(0, corrected_ns=0),
                )  # fmt: skip
                seconds.append(encode_record(group))
            self._samples.append(seconds)
        self._readings = [
            [
                encode_record(
                    Observation(
                        SourcePath(f"monitor-{device}", ("1", str(k))),
                        HEART_RATE,
                        60.0 + device,
                        "/min",
                        Times(0, corrected_ns=0),
                    )
                )
                for k in range(READINGS)
            ]
            for device in range(DEVICES)
        ]

    def quarter(self, at_s: int, part: int, end_ns: int) -> tuple[list[Envelope], list[Envelope]]:
        """Samples and readings of the two devices whose second ends in this quarter; envelopes that are good until the next call."""
        waveforms: list[Envelope] = []
        readings: list[Envelope] = []
        for device in range(part, DEVICES, BATCHES_A_S):
            group = self._samples[device][at_s % PLAYED_S]
            group.waveform.first_sample = at_s * FS_HZ
            waveforms.append(Envelope(record=_dated(group, end_ns - NS_PER_S, end_ns)))
            readings += [Envelope(record=_dated(one, end_ns, end_ns)) for one in self._readings[device]]
        return waveforms, readings


def _dated(record: wire.Record, at_ns: int, came_ns: int) -> wire.Record:
    record.times.gateway_ns = came_ns
    record.times.corrected_ns = at_ns
    record.times.uncertainty_ns = 4_000_000
    return record


def make_spool(folder: Path, ward: Ward, hours: int) -> None:
    """Write a spool of so many hours that end now, by the blocking half of the agent's own; nothing of it is acknowledged."""
    seconds = hours * 3600
    begin_ns = time.time_ns() - seconds * NS_PER_S
    now = [begin_ns]

    def dropped(lane: Lane, first: int, last: int) -> None:
        msg = f"the spool gave up batches {first} to {last} of lane {lane.name.lower()}: it is too small for {hours} h"
        raise ValueError(msg)

    store = Store(folder / "spool", Limits(), KeySource.beside(folder / "spool"), lambda: now[0], dropped)
    frames: dict[Lane, list[Frame]] = {lane: [] for lane in LANES}
    for at_s, part in itertools.product(range(seconds), range(BATCHES_A_S)):
        now[0] = begin_ns + round((at_s + 1 + part / BATCHES_A_S) * NS_PER_S)
        for lane, records in zip((Lane.WAVEFORM, Lane.NUMERIC), ward.quarter(at_s, part, now[0]), strict=True):
            n = store.newest[lane] = store.newest[lane] + 1
            frames[lane].append(Frame(lane, n, now[0], encode_batch(lane.wire, n, now[0], records)))
        if (at_s + 1) % COMMIT_S == 0 and part == BATCHES_A_S - 1:
            for lane, waiting in frames.items():
                store.write(LOG_OF[lane], waiting, (), (), (), lambda: True)
                waiting.clear()
            store.flush_if_due()
    store.flush()
    store.close()


def kept_spool(ward: Ward, hours: int) -> Path:
    """The folder of a spool of so many hours, made unless an earlier run has."""
    folder = KEPT / f"{hours}h"
    if not (folder / "whole").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        make_spool(folder, ward, hours)
        (folder / "whole").touch()
    return folder


@dataclass
class Tally:
    """What the hub has said: when each alarm was acknowledged, and what of the past is."""

    detected_s: dict[int, float] = field(default_factory=dict[int, float])
    alarm_s: list[float] = field(default_factory=list[float])
    past: dict[Lane, int] = field(default_factory=dict[Lane, int])  # the newest of what was there before
    done: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))  # of these


class Watched(Spool):
    """The agent's spool, which tells a tally what is acknowledged."""

    tally: Tally

    def acknowledged(self, lane: Lane, position: Position) -> None:
        """As `Spool.acknowledged`."""
        super().acknowledged(lane, position)
        if lane is Lane.ALARM:
            for n in [n for n in self.tally.detected_s if position.contains(n)]:
                self.tally.alarm_s.append(time.monotonic() - self.tally.detected_s.pop(n))
        else:
            most = self.tally.past.get(lane, 0)
            self.tally.done[lane] = sum(min(last, most) - first + 1 for first, last in position if first <= most)


@asynccontextmanager
async def _agent(folder: Path, own: Credentials, address: str) -> AsyncGenerator[tuple[Watched, Batcher]]:
    """Spool, batcher and both connections, put together as the agent does."""
    spool = await Watched.open(folder / "spool", time.time_ns)
    assert isinstance(spool, Watched)
    spool.tally = Tally(past={lane: spool.newest(lane) for lane in LANES})
    link = LinkSender(own.tenant, own.gateway, spool.epoch, agent_version="figure")
    for lane in Lane:
        link.spool_opened(lane, spool.held(lane), spool.newest(lane))

    async def placed(placement: Placement, _first: bool) -> PlacementApplied:
        return PlacementApplied(version=placement.version)

    async def cannot_resend(event: CannotResend) -> None:
        msg = f"the spool has lost what it had: {event}"
        raise ValueError(msg)

    async def settings(_: Settings) -> None:
        return

    papers = ClientPapers(own.key_pem, own.certificate_pem, own.ca_pem)
    downlink = Downlink(placed, cannot_resend, lambda _: None, settings)
    uplink = Uplink(link, spool, lambda: Route(lambda: [address], lambda: papers), downlink)
    batcher = Batcher(spool, link, uplink.wake)
    tasks = [asyncio.create_task(uplink.run(connection)) for connection in Connection]
    try:
        yield spool, batcher
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await spool.close()


async def _live(spool: Watched, batcher: Batcher, ward: Ward) -> None:
    """What the ward measures now, and its alarms, until cancelled."""
    begin_s = time.monotonic()
    for k in itertools.count():
        await asyncio.sleep(max(0.0, begin_s + k / ALARMS_A_S / BATCHES_A_S - time.monotonic()))
        if k % ALARMS_A_S == 0:
            waveforms, readings = ward.quarter(*divmod(k // ALARMS_A_S, BATCHES_A_S), time.time_ns())
            batcher.add([decode_record(one.record) for one in (*waveforms, *readings)])
        if k % BATCHES_A_S == 0:
            begun_s = time.monotonic()
            batcher.add([_alarm(k // BATCHES_A_S)])
            spool.tally.detected_s[spool.newest(Lane.ALARM)] = begun_s


def _alarm(k: int) -> AlarmCondition:
    """Each device's condition begins and ends in turn."""
    turn, device = divmod(k, DEVICES)
    source, now_ns = SourcePath(f"monitor-{device}", ("ecg",)), time.time_ns()
    onset_ns = (turn // 2 + 1) * NS_PER_S
    presence = Presence.ENDED if turn % 2 else Presence.PRESENT
    return AlarmCondition(
        alarm_id(source, V_FIB, onset_ns), source, V_FIB, Priority.HIGH, AlarmKind.PHYSIOLOGICAL, presence, now_ns, now_ns,
        Times(now_ns, corrected_ns=now_ns),
    )  # fmt: skip


@dataclass
class Drained:
    """What a drain has shown."""

    seconds: float = 0.0  # of the clock
    past_s: float = 0.0  # of what was measured, by bytes
    batches: int = 0
    alarm_s: list[float] = field(default_factory=list[float])
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])


async def _run(
    folder: Path, own: Credentials, target: Database, state: Path, ward: Ward, hours: int, within_s: float
) -> Drained:
    """Send what is in the spool, if anything, and live data and alarms beside it, for so long or until all is there."""
    process = start_hub(target, state)
    found = Drained()
    try:
        async with _agent(folder, own, process.uplink) as (spool, batcher):
            tally = spool.tally
            playing = asyncio.create_task(_live(spool, batcher, ward))
            past = sum(tally.past.values())
            await asyncio.sleep(WARM_UP_S)
            tally.alarm_s.clear()
            before, begin_s = dict(tally.done), time.monotonic()
            cpu = (time.process_time(), cpu_of(process.process.pid), server_cpu(target))
            while time.monotonic() < begin_s + within_s and not (past and sum(tally.done.values()) == past):
                await asyncio.sleep(0.2)
                if playing.done():
                    playing.result()
            found.seconds = time.monotonic() - begin_s
            spent = (time.process_time(), cpu_of(process.process.pid), server_cpu(target))
            playing.cancel()
            done = {lane: tally.done[lane] - before[lane] for lane in LANES}
            found.cpu_s = {
                name: round(b - a, 1) for name, a, b in zip(("agent", "ingest", "database"), cpu, spent, strict=True)
            }
            found.alarm_s, found.batches = tally.alarm_s, sum(done.values())
            if past:
                bytes_a_batch = {lane: await asyncio.to_thread(_bytes_a_batch, spool, lane) for lane in LANES}
                whole = sum(bytes_a_batch[lane] * tally.past[lane] for lane in LANES)
                found.past_s = sum(bytes_a_batch[lane] * n for lane, n in done.items()) / whole * hours * 3600
    finally:
        process.kill()
    return found


def _bytes_a_batch(spool: Spool, lane: Lane) -> float:
    """Mean of a hundred batches all over a lane of the past."""
    first, last = spool.held(lane)[0]
    sizes = [len(spool.read(lane, n) or b"") for n in range(first, last + 1, max(1, (last - first) // 100))]
    return sum(sizes) / len(sizes)


def _measure(recordings: Path, *, form: Form) -> Sequence[Entry]:
    ward = Ward(recordings)
    kept = kept_spool(ward, form.hours)
    with server() as (database, folder):
        target = new_hub(database, "drain")
        calm_folder, full_folder = folder / "calm", folder / "full"
        calm_folder.mkdir(mode=0o700)
        shutil.copytree(kept, full_folder)
        size = sum(path.stat().st_size for path in full_folder.rglob("*") if path.is_file())

        async def both() -> tuple[Drained, Drained]:
            async with running_hub(target, folder / "state") as hub:
                papers = [(await hub.peer(name)).credentials for name in ("calm", "drain")]
            calm = await _run(calm_folder, papers[0], target, folder / "state", ward, 0, form.calm_s)
            return calm, await _run(full_folder, papers[1], target, folder / "state", ward, form.hours, form.drain_s)

        calm, drained = asyncio.run(both())
        stored = _stored(target)
    alarms = f"P99 without a backlog, same run: {_p99(calm.alarm_s):.3f} s, n = {len(calm.alarm_s)}"
    return [
        Entry(
            id="drain", group="hub", value=round(drained.past_s / drained.seconds, 1), unit="x real time", gate=10, goal=60,
            reference="", higher_is_better=True, n=drained.batches, note=form.note,
            details={
                "MB of spool": round(size / 1e6),
                "seconds": round(drained.seconds, 1),
                "batches a second": round(drained.batches / drained.seconds),
                "CPU s": drained.cpu_s,
                "rows stored": stored,
            },
        ),
        Entry(
            id="drain-alarms", group="hub", value=round(_p99(drained.alarm_s), 3), unit="s, P99, detected to stored", gate=1.0,
            goal=0.3, reference=alarms, higher_is_better=False, n=len(drained.alarm_s), note=form.note,
            details={"P50, P99 of the drain": [round(median(drained.alarm_s), 3), round(_p99(drained.alarm_s), 3)],
                     "P50, P99 of the rest": [round(median(calm.alarm_s), 3), round(_p99(calm.alarm_s), 3)]},
        ),
    ]  # fmt: skip


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[max(0, math.ceil(0.99 * len(times)) - 1)]


def _stored(target: Database) -> str:
    with closing(target.connect_admin()) as admin:
        counts = [
            admin.execute(f"select count(*) from {table}".encode()).fetchone()
            for table in ("observation", "waveform", "quarantine")
        ]
    observations, waveforms, held = (int(str(row[0])) for row in counts if row is not None)
    assert held == 0
    return f"{observations:,} readings, {waveforms:,} groups"


FIGURES = (
    Figure(
        "drain",
        "hub",
        partial(_measure, form=SHORT),
        data=("mitdb",),
        code=("edge", "hub", "protocols", "tests/figures", "tests/fixtures"),
        cached=False,
        yields=("drain", "drain-alarms"),
        long=partial(_measure, form=LONG),
    ),
)
