"""The hub asks a gateway again for a stretch of time: what is missing is stored, what is there stays once, what is gone is told."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.identity import Identity, save_identity
from hub.core import principal
from hub.core.db import Database
from hub.core.errors import DomainError
from hub.gateways.service import ResendAnswer
from hub.store.sealing import seal_readings, seal_waveforms
from protocols.link import Lane
from protocols.nomenclature import EVT_CONNECTED, SPOOL_FULL
from protocols.record import DeviceEvent, Gap, Times
from tests.fixtures.gateway_peer import Peer
from tests.fixtures.hub import RunningHub
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import ECG, T0_NS, heart_rate, waveform
from tests.fixtures.waiting import until, until_asked

pytestmark = pytest.mark.integration
OPERATOR = principal.operator("test", 1)
N = 40


@asynccontextmanager
async def gateway(hub: RunningHub, folder: Path) -> AsyncGenerator[Sending]:
    """One that has handed over N batches of each data lane."""
    papers = await hub.enrol("gateway-1")
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(folder, Identity(*identity))
    async with sender(folder, route_of(folder, [hub.uplink])) as agent:
        for i in range(N):
            at_ns = T0_NS + i * 10**9
            await agent.append(Lane.WAVEFORM, waveform(25 * i))
            # Two equal readings at one moment, as a device may send them: both are to be there in the end.
            await agent.append(Lane.NUMERIC, heart_rate(60, at_ns), heart_rate(60, at_ns))
            await agent.append(Lane.EVENT, DeviceEvent(ECG, EVT_CONNECTED, Times(at_ns)))
            await agent.append(Lane.WAVEFORM, Gap(ECG, at_ns, at_ns + 1000, SPOOL_FULL, False, Times(at_ns), i, i + 1))
        await until(agent.all_acknowledged)
        yield agent


def counts(hub: RunningHub) -> list[int]:
    tables = ("waveform", "observation", "device_event", "gap", "quarantine", "observation_again", "waveform_again")
    return [int(str(hub.rows(f"select count(*) from {table}")[0][0])) for table in tables]


async def ask(hub: RunningHub, lane: str, begin_s: float, end_s: float) -> ResendAnswer:
    times = (datetime.fromtimestamp(one, UTC) for one in (begin_s, end_s))
    request = await hub.gateways.ask_again(OPERATOR, "gateway-1", lane, *times)
    await until_asked(lambda: answered(hub, request), 10)
    answer = await hub.gateways.answer_of(OPERATOR, request)
    assert answer is not None
    return answer


async def answered(hub: RunningHub, request: int) -> bool:
    return await hub.gateways.answer_of(OPERATOR, request) is not None


@pytest.mark.req("IOT-9.3a", surface="protocol")
async def test_rows_that_the_hub_has_lost_come_again_and_those_that_are_there_stay_once(
    hub: RunningHub, tmp_path: Path
):
    begun_s = time.time()
    async with gateway(hub, tmp_path) as agent:
        whole = counts(hub)
        assert whole == [N, 2 * N, N, N, 0, 0, 0]
        hub.do("delete from waveform where first_sample >= 250 and first_sample < 500")
        hub.do("delete from observation where extract(epoch from time)::int % 3 = 0")
        hub.do("delete from device_event where extract(epoch from time)::int % 4 = 0")
        hub.do("delete from gap where to_sample < 9")
        assert all(now < before for now, before in zip(counts(hub)[:3], whole[:3], strict=True))
        for lane, batches in (("waveform", 2 * N), ("numeric", N), ("event", N)):
            answer = await ask(hub, lane, begun_s - 1, time.time() + 1)
            assert answer.batches == batches
            assert answer.kept_from is not None
            assert abs(answer.kept_from.timestamp() - begun_s) < 10
            # The position is open until all of it has come.
            await until(
                lambda: agent.all_acknowledged() and not hub.rows("select 1 from lane_position where reopened <> '{}'")
            )
        assert counts(hub) == whole
        assert hub.rows("select count(*) from lane_position where stored <> '{}'") == [(0,)]
        # A row that comes for the first time afterwards is stored like any other.
        await agent.append(Lane.NUMERIC, heart_rate(60, T0_NS))
        await until(agent.all_acknowledged)
        assert counts(hub)[1] == 2 * N + 1
    asked = hub.rows(
        "select principal, target, outcome from audit where action = 'gateway.resend' and body like '%\"lane\"%'"
    )
    assert asked == [("system:test", "gateway:gateway-1", "done")] * 3


async def test_what_has_been_sealed_meanwhile_is_known_again(hub: RunningHub, tmp_path: Path):
    begun_s = time.time()
    async with gateway(hub, tmp_path) as agent:
        later = datetime.now(UTC) + timedelta(days=1)
        async with Database(hub.database.url_for("wardlink_worker"), "test worker", max_size=2) as worker:
            await seal_waveforms(worker, later)
            await seal_readings(worker, later)
        assert counts(hub)[:2] == [0, 0]
        for lane in ("waveform", "numeric"):
            await ask(hub, lane, begun_s - 1, time.time() + 1)
            await until(
                lambda: agent.all_acknowledged() and not hub.rows("select 1 from lane_position where reopened <> '{}'")
            )
    hot = "select count(*) from waveform union all select coalesce(sum(groups), 0) from waveform_block"
    assert sum(int(str(n)) for (n,) in hub.rows(hot)) == N
    readings = "select count(*) from observation union all select coalesce(sum(n), 0) from observation_block"
    assert sum(int(str(n)) for (n,) in hub.rows(readings)) == 2 * N


async def test_a_part_of_the_time_costs_a_part_of_the_batches_and_a_time_without_any_costs_nothing(
    hub: RunningHub, tmp_path: Path
):
    async with gateway(hub, tmp_path) as agent:
        await asyncio.sleep(0.2)
        middle_s = time.time()
        for i in range(N, N + 5):
            await agent.append(Lane.WAVEFORM, waveform(25 * i))
        await until(agent.all_acknowledged)
        before = sum(agent.link.sends.values())
        assert (await ask(hub, "waveform", middle_s, time.time() + 1)).batches == 5
        await until(lambda: sum(agent.link.sends.values()) >= before + 5 and agent.all_acknowledged())
        assert sum(agent.link.sends.values()) == before + 5
        assert (await ask(hub, "waveform", middle_s - 7200, middle_s - 3600)).batches == 0
        assert counts(hub)[0] == N + 5


async def test_a_gateway_that_is_away_is_asked_when_it_comes_and_one_of_an_earlier_version_never(
    hub: RunningHub, tmp_path: Path
):
    old = await hub.peer("gateway-old")
    assert isinstance(old, Peer)
    moments = (datetime.fromtimestamp(time.time() + s, UTC) for s in (-60, 60))
    async with gateway(hub, tmp_path):
        pass
    request = await hub.gateways.ask_again(OPERATOR, "gateway-1", "numeric", *moments)
    assert await hub.gateways.answer_of(OPERATOR, request) is None
    async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
        await until(lambda: agent.link.sends.total() == N)
        await until(agent.all_acknowledged)
    assert counts(hub)[1] == 2 * N


async def test_a_hub_below_is_asked_as_a_gateway_is(hub: RunningHub, tmp_path: Path):
    begun_s = time.time()
    async with gateway(hub, tmp_path):
        pass
    hub.do("update gateway set forwards = true")
    hub.do("delete from waveform")
    moments = (datetime.fromtimestamp(s, UTC) for s in (begun_s - 1, time.time() + 1))
    request = await hub.gateways.ask_again(OPERATOR, "gateway-1", "waveform", *moments)
    async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
        await until_asked(lambda: answered(hub, request), 10)
        await until(lambda: counts(hub)[0] == N and agent.all_acknowledged())


@pytest.mark.parametrize(
    ("lane", "seconds", "named"), [("alarm", 60, "event, numeric, waveform"), ("numeric", 0, "earlier time first")]
)
async def test_what_cannot_be_asked_for_is_refused_with_what_can(hub: RunningHub, lane: str, seconds: int, named: str):
    await hub.add("gateway-1")
    begin, end = (datetime.fromtimestamp(10_000 + s, UTC) for s in (0, seconds))
    with pytest.raises(DomainError) as refused:
        await hub.gateways.ask_again(OPERATOR, "gateway-1", lane, begin, end)
    assert named in refused.value.what_to_do
