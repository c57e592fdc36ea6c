"""One simulated gateway: the agent's own spool, batcher and uplink on real sockets, with recordings in the place of devices."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.identity import Identity, enrol, load_identity, parse_token, save_identity
from edge.pipeline.batcher import Batcher
from edge.spool import Limits, Spool
from edge.uplink import ClientPapers, Route, Uplink
from edge.uplink.downlink import Downlink
from edge.uplink.losses import Losses
from protocols.link import CannotResend, Connection, Lane, LinkSender
from protocols.link.ranges import Position
from protocols.record import Record, WaveformGroup
from protocols.uplink_pb2 import Envelope, Placement, PlacementApplied, Settings
from protocols.wire import Arrival
from wardlink.load.signals import GROUPS_A_S, Bed

_LIMITS = Limits(total_bytes=72 << 20, segment_bytes=16 << 20, keep_ns=0)


@dataclass
class Tally:
    """What one process's gateways have measured. `acknowledged_ms`: how often a record took so long from its last byte on."""

    acknowledged_ms: Counter[int] = field(default_factory=Counter[int])
    batches: int = 0
    batch_bytes: int = 0
    records: int = 0


class Watched(Spool):
    """A spool that notes when each batch's records came, and when the hub said that it has them."""

    tally: Tally

    def begin(self, tally: Tally) -> None:
        """Count into this from here on."""
        self.tally = tally
        self._came: dict[tuple[Lane, int], list[float]] = {}
        self._acknowledged = dict.fromkeys(Lane, 0)
        self._news = asyncio.Event()

    def append(
        self, lane: Lane, records: Iterable[Record | Envelope], arrivals: Sequence[Arrival] = ()
    ) -> "asyncio.Future[int]":
        """As `Spool.append`; the batcher has had the records for up to its 250 ms, which the time of a record tells."""
        records = list(records)
        came = [_came_s(record) for record in records if not isinstance(record, Envelope)]
        durable = super().append(lane, records, arrivals)
        self._came[lane, self.newest(lane)] = came
        self.tally.batches += 1
        self.tally.records += len(records)
        return durable

    def read(self, lane: Lane, n: int) -> bytes | None:
        """As `Spool.read`, for sending."""
        data = super().read(lane, n)
        self.tally.batch_bytes += len(data or b"")
        return data

    def acknowledged(self, lane: Lane, position: Position) -> None:
        """As `Spool.acknowledged`: the hub has committed these."""
        super().acknowledged(lane, position)
        now_s = time.time()
        for first, last in position:
            for n in range(max(first, self._acknowledged[lane]), last + 1):
                for came_s in self._came.pop((lane, n), ()):
                    self.tally.acknowledged_ms[round((now_s - came_s) * 1000)] += 1
        self._acknowledged[lane] = position.cumulative
        self._news.set()

    async def until_acknowledged(self) -> None:
        """Wait until the hub has said of every batch that it has it."""
        while self._came:
            self._news.clear()
            await self._news.wait()

    @property
    def unacknowledged(self) -> int:
        """How many batches the hub has not said to have."""
        return len(self._came)


def _came_s(record: Record) -> float:
    """When its last byte came; samples are dated by their first."""
    length_s = record.n / record.fs_hz if isinstance(record, WaveformGroup) else 0.0
    return record.times.gateway_ns / 1e9 + length_s


@dataclass
class Gateway:
    """An enrolled gateway whose uplink runs."""

    spool: Watched
    batcher: Batcher
    beds: Sequence[Bed]

    async def play(self, stop: asyncio.Event, offset_s: float) -> None:
        """Send what the beds measure until `stop`, in time; `offset_s` into each fifth of a second, so that not all come at once."""
        due_s = time.monotonic() + offset_s
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_ns = time.time_ns()
            for bed in self.beds:
                self.batcher.add(bed.next(now_ns))
            due_s += 1 / GROUPS_A_S
        await self.batcher.close_all()

    async def settle(self, within_s: float) -> None:
        """Wait until the hub has everything, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.spool.until_acknowledged()


def _enrolled(folder: Path, token: str) -> Identity:
    folder.mkdir(parents=True, mode=0o700)
    save_identity(folder, enrol(parse_token(token)))
    return load_identity(folder)


@asynccontextmanager
async def gateway(folder: Path, token: str, beds: Sequence[Bed], tally: Tally) -> AsyncGenerator[Gateway]:
    """Enrol with the token, open a spool, keep both connections up; EnrolmentError or TokenError when the hub refuses."""
    identity = await asyncio.to_thread(_enrolled, folder, token)
    spool = await Watched.open(folder / "spool", time.time_ns, _LIMITS)
    assert isinstance(spool, Watched)
    spool.begin(tally)
    link = LinkSender(identity.tenant, identity.gateway, spool.epoch, agent_version="load")
    for lane in Lane:
        link.spool_opened(lane, spool.held(lane), spool.newest(lane))

    async def placed(placement: Placement, _first: bool) -> PlacementApplied:
        return PlacementApplied(version=placement.version)

    async def cannot_resend(event: CannotResend) -> None:
        await losses.report(event)

    async def settings(_: Settings) -> None:
        return

    papers = ClientPapers(identity.key_pem, identity.certificate_pem, identity.ca_pem)
    downlink = Downlink(placed, cannot_resend, lambda _: None, settings)
    uplink = Uplink(link, spool, lambda: Route(lambda: [identity.uplink], lambda: papers), downlink)
    batcher = Batcher(spool, link, uplink.wake)
    losses = Losses(spool, link, batcher.record, uplink.wake)
    spool.on_dropped = losses.dropped
    tasks = [asyncio.create_task(uplink.run(connection)) for connection in Connection]
    tasks.append(asyncio.create_task(losses.run()))
    try:
        yield Gateway(spool, batcher, beds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await spool.close()
