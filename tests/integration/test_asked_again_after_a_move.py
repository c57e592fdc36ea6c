"""What was moved in time is known again when its gateway sends it again: under every move that it lies under, and behind each taken back."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.identity import Identity, save_identity
from hub.clocks.service import Clocks, SealedError
from hub.core import principal
from hub.core.audit import AuditLog
from hub.core.db import Database
from hub.store.rollups import roll_up
from hub.store.sealing import open_segment, seal_readings, seal_waveforms
from protocols.link import Lane
from protocols.nomenclature import HEART_RATE, SPOOL_FULL
from protocols.record import Gap, Observation, Times
from tests.fixtures.hub import RunningHub
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import ECG, T0_NS, waveform
from tests.fixtures.waiting import until, until_asked

pytestmark = pytest.mark.integration
OPERATOR = principal.operator("test", 1)
N = 12
S = 10**9
AHEAD_S = 3600
PPM = 37.0
EARLIER, WRONG = 1, 2  # segments, as the gateway numbers them
# The time of arrival is no whole number of microseconds behind or before the corrected one: offsets are kept as fractions.
LATE_NS = 12_345_678

_READINGS = """
    select o.time, o.value, o.device_offset_ms, o.gateway_offset_ms, c.number
      from (select * from observation union all select o.* from observation_block b cross join lateral opened(b) o) o
      left join clock_segment c using (clock_segment_id) order by 1, 2, 5"""
_GROUPS = """
    select start, first_sample, n, gateway_offset_ms, c.number
      from waveform left join clock_segment c using (clock_segment_id) order by 1, 2"""
_SEALED_GROUPS = "select coalesce(sum(groups), 0) from waveform_block"
_GAPS = "select from_time, to_time, from_sample, to_sample from gap order by 1, 3"
_COUNTED = "select coalesce(sum(n), 0) from rollup_1m"


@dataclass
class Ward:
    """A hub and a gateway that has handed over `N` of each; with what moves, seals and asks again."""

    hub: RunningHub
    agent: Sending
    web: Database
    worker: Database
    begun_s: float

    def __post_init__(self) -> None:
        self.clocks = Clocks(self.web, AuditLog(self.web))

    def rows(self) -> list[list[tuple[object, ...]]]:
        """All there is, as each row lies."""
        return [self.hub.rows(query) for query in (_READINGS, _GROUPS, _SEALED_GROUPS, _GAPS)]

    def segment(self, number: int) -> int:
        [(found,)] = self.hub.rows("select clock_segment_id from clock_segment where number = %s", number)
        return int(str(found))

    async def device(self) -> int:
        return await self.clocks.named(OPERATOR, ECG.device)

    async def move(self, segment: int, shift_s: float, ppm: float = 0.0) -> int:
        await self.opened(segment)
        done = await self.clocks.retime(OPERATOR, await self.device(), segment, shift_s, ppm, reason="an hour off")
        return done.retiming_id

    async def take_back(self, move: int) -> None:
        try:
            await self.clocks.undo(OPERATOR, move, reason="it was right")
        except SealedError as sealed:
            await self.opened(sealed.segment_id)
            await self.clocks.undo(OPERATOR, move, reason="it was right")

    async def opened(self, segment: int) -> None:
        async with self.worker.transaction() as connection:
            await open_segment(connection, segment)

    async def seal(self) -> None:
        later = datetime.now(UTC) + timedelta(days=1)
        assert (await seal_waveforms(self.worker, later)).rows > 0
        assert (await seal_readings(self.worker, later)).rows > 0

    async def comes_again(self) -> None:
        """The hub asks for everything once more, and has stored it."""
        before = self.agent.link.sends.total()
        begin, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (self.begun_s - 1, time.time() + 1))
        asked = [
            await self.hub.gateways.ask_again(OPERATOR, "gateway-1", lane, begin, end)
            for lane in ("numeric", "waveform")
        ]

        async def answered() -> bool:
            return all([await self.hub.gateways.answer_of(OPERATOR, one) is not None for one in asked])

        def all_came() -> bool:
            still_open = self.hub.rows("select 1 from lane_position where reopened <> '{}'")
            return self.agent.all_acknowledged() and not still_open

        await until_asked(answered, 15)
        await until(all_came)
        assert self.agent.link.sends.total() >= before + 3 * N, "of each: readings, samples, holes"


@pytest.fixture
async def ward(hub: RunningHub, tmp_path: Path) -> AsyncGenerator[Ward]:
    """The device's clock is an hour ahead; before that it was right, and some of what it measures has no time of its own."""
    begun_s = time.time()
    papers = await hub.enrol("gateway-1")
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(tmp_path, Identity(*identity))
    async with (
        sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent,
        Database(hub.database.url_for("wardlink_web"), "test web", max_size=2) as web,
        Database(hub.database.url_for("wardlink_worker"), "test worker", max_size=2) as worker,
    ):
        for i in range(N):
            at_ns = T0_NS + i * S  # when it was measured
            ahead_ns = at_ns + AHEAD_S * S
            wrong = Times(at_ns + LATE_NS, ahead_ns, ahead_ns, 1_000_000, WRONG)
            right = Times(at_ns - 600 * S, at_ns - 600 * S, at_ns - 600 * S, 1_000_000, EARLIER)
            # The value is the same each second, and what stands at one time tells nothing of what stood there before.
            readings = [Observation(ECG, HEART_RATE, 60.0, "/min", times) for times in (wrong, right, Times(at_ns))]
            await agent.append(Lane.NUMERIC, *readings)
            await agent.append(Lane.WAVEFORM, replace(waveform(250 * i), times=wrong))
            hole_ns = ahead_ns + S // 2
            hole = Gap(ECG, hole_ns, hole_ns + S // 4, SPOOL_FULL, False, wrong, 250 * i + 25, 250 * i + 50)
            await agent.append(Lane.WAVEFORM, hole)
        await until(agent.all_acknowledged)
        made = Ward(hub, agent, web, worker, begun_s)
        assert [len(rows) for rows in made.rows()] == [3 * N, N, 1, N]
        yield made


@pytest.mark.req("IOT-9.3a", surface="protocol")
async def test_what_was_moved_comes_again_and_stands_once_and_trends_count_it_once(ward: Ward):
    as_sent = ward.rows()
    move = await ward.move(ward.segment(WRONG), -AHEAD_S, PPM)
    moved = ward.rows()
    assert moved != as_sent
    await ward.comes_again()
    assert ward.rows() == moved
    await roll_up(ward.worker)
    assert ward.hub.rows(_COUNTED) == [(3 * N,)]

    await ward.seal()
    await ward.comes_again()
    # Samples that come again are compared among the hot ones; readings as they lie.
    assert ward.rows() == moved
    assert ward.hub.rows("select count(*) from observation") == [(0,)]

    await ward.take_back(move)
    assert ward.rows() == as_sent
    await ward.comes_again()
    assert ward.rows() == as_sent
    await roll_up(ward.worker)
    assert ward.hub.rows(_COUNTED) == [(3 * N,)]


async def test_moves_of_moves_and_of_what_came_late_are_followed_each(ward: Ward):
    wrong = ward.segment(WRONG)
    ward.hub.do("create table kept as select * from observation where time >= to_timestamp(%s)", T0_NS // S + 3605)
    ward.hub.do("delete from observation o using kept k where o.time = k.time")
    first = await ward.move(wrong, -AHEAD_S, PPM)
    ward.hub.do("insert into observation select * from kept")  # comes late, from a backlog
    await ward.move(wrong, -AHEAD_S + 5)
    again = await ward.move(ward.segment(-first), 7200, -PPM)
    moved = ward.rows()
    await ward.comes_again()
    assert ward.rows() == moved
    # The first is taken back while the second stands, which leaves the rows where they are.
    await ward.take_back(first)
    assert ward.rows()[:3] == moved[:3]
    await ward.take_back(again)
    lies = ward.rows()
    assert lies != moved
    await ward.comes_again()
    assert ward.rows() == lies


async def test_what_is_lost_of_a_moved_segment_comes_again_though_another_stands_at_its_time(ward: Ward):
    """A move by whole seconds puts readings where others of the same value were; none of them is taken for the other."""
    await ward.move(ward.segment(WRONG), -3)
    lost = T0_NS // S + AHEAD_S + 1
    [(moved,)] = ward.hub.rows("select count(*) from observation where time = to_timestamp(%s)", lost)
    assert moved == 1, "what was measured three seconds later, and moved"
    ward.hub.do("delete from observation where time = to_timestamp(%s)", lost - 3)  # what was measured at `lost`, moved
    ward.hub.do("delete from waveform where first_sample = 250")
    ward.hub.do("delete from gap where from_sample = 275")
    whole = [len(rows) for rows in ward.rows()]
    await ward.comes_again()
    assert [len(rows) for rows in ward.rows()] == [whole[0] + 1, whole[1] + 1, whole[2], whole[3] + 1]
    # It lies where the gateway had it, in the segment that the gateway named: listed as not moved.
    found = "select c.number from observation join clock_segment c using (clock_segment_id) where time = to_timestamp(%s) order by 1"
    assert [n for (n,) in ward.hub.rows(found, lost)] == [-1, WRONG]
    await ward.comes_again()
    assert [len(rows) for rows in ward.rows()] == [whole[0] + 1, whole[1] + 1, whole[2], whole[3] + 1]
