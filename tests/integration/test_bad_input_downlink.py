"""Bad input from the hub, over real gRPC: refused with the reason and counted, while every sample of the bed still arrives once."""

import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import numpy as np
import pytest

from edge.identity import save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Connection, Lane
from protocols.nomenclature import HEART_RATE, SPO2, V_FIB
from protocols.record import WaveformGroup
from protocols.uplink_pb2 import (
    LANE_WAVEFORM,
    Ack,
    AlarmsAcknowledged,
    GatewayMessage,
    HubHello,
    HubMessage,
    LanePosition,
    Limit,
    PlacedBed,
    Placement,
    Range,
)
from tests.fixtures.agent import Gateway
from tests.fixtures.hub_peer import Authority, Context, HubPeer, Store, write_config
from tests.fixtures.waiting import until
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Raw:
    """Bytes in place of a message."""

    data: bytes

    def SerializeToString(self) -> bytes:  # noqa: N802  as protobuf has it
        return self.data


class WickedHub(HubPeer):
    """A hub that is right but for what it says in between: on each connection the next of `says`, behind its hello."""

    def __init__(self, store: Store, authority: Authority, says: dict[Connection, list[list[bytes]]]) -> None:
        super().__init__(store, authority)
        self._says = says
        self.connections = dict.fromkeys(Connection, 0)

    async def _connect(self, requests: AsyncIterator[GatewayMessage], context: Context) -> AsyncIterator[HubMessage]:
        first: GatewayMessage | None = None

        async def watched() -> AsyncIterator[GatewayMessage]:
            nonlocal first
            async for message in requests:
                first = first or message
                yield message

        async for answer in super()._connect(watched(), context):
            yield answer
            if answer.WhichOneof("message") == "hello":
                assert first is not None
                connection = Connection(first.hello.connection)
                self.connections[connection] += 1
                if self._says[connection]:
                    for data in self._says[connection].pop(0):
                        yield cast("HubMessage", Raw(data))


@asynccontextmanager
async def wicked(
    store: Store, authority: Authority, data: list[list[bytes]], alarms: list[list[bytes]]
) -> AsyncGenerator[WickedHub]:
    hub = WickedHub(store, authority, {Connection.DATA: data, Connection.ALARM: alarms})
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


def wrong_ack(position: LanePosition) -> bytes:
    return HubMessage(ack=Ack(position=position)).SerializeToString()


def acknowledging(*alarms: bytes) -> bytes:
    return HubMessage(alarms_acknowledged=AlarmsAcknowledged(ids=alarms)).SerializeToString()


@pytest.fixture
def board() -> Board:
    """Each sample tells its number, in steps larger than the amplifier's count."""
    return Board(np.arange(120 * RATE_HZ, dtype=np.float64)[None, :])


@dataclass
class Bed:
    """A running agent with an amplifier, and what it serves about itself."""

    agent: Gateway
    metrics_port: int

    async def metric(self, name: str) -> float:
        """The sum over all labels."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    def reasons(self, event: str) -> str:
        return "\n".join(str(line) for line in self.agent.said(event))


@asynccontextmanager
async def bed(folder: Path, authority: Authority, hub: HubPeer, port: Path) -> AsyncGenerator[Bed]:
    metrics_port = free_port()
    save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub.port}"))
    device = (
        f'[[devices]]\nid = "amp"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}'
    )
    agent = Gateway(write_config(folder, device, f"[metrics]\nport = {metrics_port}\n"))
    await agent.start()
    try:
        yield Bed(agent, metrics_port)
    except BaseException:
        print(*agent.log, sep="\n")
        raise
    finally:
        await agent.kill()


def arrived(store: Store) -> list[WaveformGroup]:
    groups = [r for r in store.records(Lane.WAVEFORM) if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    return sorted(groups, key=lambda g: g.first_sample)


def check_every_sample_is_there_once(store: Store, board: Board) -> None:
    assert not store.stored_twice
    end = 0
    for group in arrived(store):
        assert group.first_sample == end
        assert group.array()[0].tolist() == board.counts[end : group.end_sample, 0].tolist()
        end = group.end_sample


def contiguous(store: Store, samples: int) -> bool:
    end = 0
    for group in arrived(store):
        if group.first_sample != end:
            return False
        end = group.end_sample
    return end >= samples


async def test_a_hub_that_breaks_the_protocol_is_told_of_and_costs_no_sample(
    tmp_path: Path, board: Board, port: Path, seed: random.Random
):
    later = b"\x7a\x03abc"  # field 15: a message of a later hub
    data = [
        [later, b"", b"\xff" * 9],  # two that a later version may send, and bytes that are no message
        [HubMessage(hello=HubHello(version=1)).SerializeToString()],
        [wrong_ack(LanePosition(lane=LANE_WAVEFORM, cumulative=2**62))],
        [wrong_ack(LanePosition(lane=LANE_WAVEFORM, stored=[Range(first=9, last=3)]))],
        [acknowledging(bytes(16))],
    ]
    over = Placement(version=1, beds=[PlacedBed(point_of_care="x" * (2 << 20))])  # 1 MiB is the most
    alarms = [
        [wrong_ack(LanePosition(lane=LANE_WAVEFORM, cumulative=1))],
        [acknowledging(b"abc")],
        [acknowledging(*[bytes(16)] * 1001)],
        [HubMessage(placement=over).SerializeToString()],
        [seed.randbytes(seed.randrange(20, 400)) for _ in range(20)],
    ]
    store, authority = Store(), Authority()
    async with wicked(store, authority, data, alarms) as hub, bed(tmp_path, authority, hub, port) as one:
        await until(lambda: not data and not alarms and min(hub.connections.values()) >= 6, 45)
        sent = board.sample
        await until(lambda: contiguous(store, sent), 30)
        check_every_sample_is_there_once(store, board)
        broken = one.reasons("hub-broke-the-protocol")
        for reason in (
            "9 bytes that are none", "a second one", "batch 4611686018427387904", "9 to 3", "the alarm connection",
            "lane 4", "3 bytes", "1001",
        ):  # fmt: skip
            assert reason in broken, reason
        assert await one.metric("edge_uplink_violations_total") >= 8
        assert await one.metric("edge_uplink_ignored_total") >= 2
        assert "RESOURCE_EXHAUSTED" in one.reasons("uplink-down")
        assert not one.agent.said("task-failed")
        assert not one.agent.said("epoch-conflict")
        assert not one.agent.said("spool-begun-anew")


async def test_impossible_values_of_a_placement_are_refused_one_by_one_and_the_rest_of_it_holds(
    tmp_path: Path, board: Board, port: Path
):
    def limit(code: str, unit: str, low: float, high: float) -> Limit:
        return Limit(code=code, unit=unit, low=low, high=high)

    impossible = {
        "expected low < high, found 120 and 50": limit(HEART_RATE, "/min", 120, 50),
        "expected a finite number, found nan": limit(HEART_RATE, "/min", float("nan"), 100),
        "expected a finite number, found inf": limit(SPO2, "%", 90, float("inf")),
        "expected '/min', found 'furlong'": limit(HEART_RATE, "furlong", 50, 100),
        "does not have this code": limit(V_FIB, "", 1, 2),
        "not-a-code": limit("not-a-code" + "x" * 100_000, "/min", 1, 2),
    }
    limits = [*impossible.values(), limit(HEART_RATE, "/min", 45, 125)]
    placement = Placement(
        version=2**64 - 1, beds=[PlacedBed(point_of_care="1", devices=["amp"], age_group="elephant", limits=limits)]
    )
    store, authority = Store(), Authority()
    said = [[HubMessage(placement=placement).SerializeToString()]]
    async with wicked(store, authority, said, []) as hub, bed(tmp_path, authority, hub, port) as one:
        await until(lambda: 2**64 - 1 in store.applied)
        await until(lambda: len(one.agent.said("limit-refused")) == len(impossible))
        sent = board.sample + RATE_HZ
        await until(lambda: contiguous(store, sent))
        check_every_sample_is_there_once(store, board)
        refused = one.reasons("limit-refused")
        for reason in impossible:
            assert reason in refused, reason
        assert len(refused) < 10_000  # a refused word is not repeated whole
        told = [(one.point_of_care, one.code[:12], one.reason) for one in store.refused_limits]
        assert told == [
            ("1", HEART_RATE[:12], "order"),
            ("1", HEART_RATE[:12], "not-finite"),
            ("1", SPO2[:12], "not-finite"),
            ("1", HEART_RATE[:12], "unit"),
            ("1", V_FIB[:12], "unknown-code"),
            ("1", "not-a-codexx", "unknown-code"),
        ]
        assert max(len(one.code) for one in store.refused_limits) == 64
        assert "found 'elephant'" in one.reasons("age-group-refused")
        assert await one.metric("edge_placement_limits_refused_total") == len(impossible)
        assert await one.metric("edge_placement_groups_refused_total") == 1
        assert not one.agent.said("task-failed")
