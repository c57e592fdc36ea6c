"""What was lost is told once, whatever fails on the way, and much of it is kept in little."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from edge.spool import Limits, Spool
from edge.uplink.losses import Losses
from protocols.link import CannotResend, Connection, Lane, LinkSender
from protocols.record import Gap
from tests.fixtures.spool_records import T0_NS
from tests.fixtures.waiting import until


async def made(folder: Path, woken: list[Connection]) -> tuple[Losses, Spool]:
    spool = await Spool.open(folder, lambda: T0_NS, Limits())
    link = LinkSender("default", "gateway-1", spool.epoch)
    for lane in Lane:
        link.spool_opened(lane, spool.held(lane), spool.newest(lane))

    def record(gaps: Iterable[Gap]) -> "asyncio.Future[int]":
        return spool.append(Lane.EVENT, list(gaps))

    return Losses(spool, link, record, woken.append), spool


def waiting() -> float | None:
    return REGISTRY.get_sample_value("edge_losses_waiting")


async def test_ten_thousand_losses_that_follow_each_other_are_one_and_those_apart_are_not(tmp_path: Path):
    losses, spool = await made(tmp_path, [])
    for n in range(1, 10_001):
        await losses.report(CannotResend(Lane.WAVEFORM, n, n))
    assert (losses.waiting, waiting()) == (1, 1)
    await losses.report(CannotResend(Lane.WAVEFORM, 20_000, 20_100))
    await losses.report(CannotResend(Lane.ALARM, 1, 1))
    assert (losses.waiting, waiting()) == (3, 3)
    await spool.close()


async def test_a_loss_whose_telling_fails_stays_due_until_it_is_told(tmp_path: Path):
    woken: list[Connection] = []
    losses, spool = await made(tmp_path, woken)
    await losses.report(CannotResend(Lane.NUMERIC, 3, 5))
    await spool.close()
    with pytest.raises(Exception, match="closed"):
        await losses.run()
    assert (losses.waiting, woken) == (1, [])


async def test_alarms_are_told_first(tmp_path: Path):
    woken: list[Connection] = []
    losses, spool = await made(tmp_path, woken)
    await losses.report(CannotResend(Lane.WAVEFORM, 1, 2))
    await losses.report(CannotResend(Lane.ALARM, 1, 1))
    task = asyncio.create_task(losses.run())
    await until(lambda: losses.waiting == 0)
    await losses.report(CannotResend(Lane.EVENT, 7, 7))
    await until(lambda: len(woken) == 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await spool.close()
    assert woken == [Connection.ALARM, Connection.DATA, Connection.DATA]
