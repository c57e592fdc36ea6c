"""The lag of the event loop: work that holds it up is seen in the metric, waiting is not."""

import asyncio
import contextlib
import time

from prometheus_client import REGISTRY

from hub.core.loop import watch_loop

BLOCKED_S = 0.3


def over_50_ms() -> float:
    every = REGISTRY.get_sample_value("hub_loop_lag_seconds_count") or 0.0
    return every - (REGISTRY.get_sample_value("hub_loop_lag_seconds_bucket", {"le": "0.05"}) or 0.0)


def worst_s() -> float:
    return REGISTRY.get_sample_value("hub_loop_lag_worst_seconds") or 0.0


async def test_work_that_blocks_the_loop_is_seen_as_its_lag():
    before = over_50_ms()
    watching = asyncio.create_task(watch_loop())
    await asyncio.sleep(0.01)  # it sleeps now, and shall wake at 0.1 s
    time.sleep(BLOCKED_S)  # noqa: ASYNC251  this is what must not go unseen
    await asyncio.sleep(0.05)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert over_50_ms() == before + 1
    # asked for 0.1 s and woken after 0.01 + 0.3 s
    assert 0.15 < worst_s() < BLOCKED_S + 0.2


async def test_a_loop_that_only_waits_has_no_lag_to_speak_of():
    before = REGISTRY.get_sample_value("hub_loop_lag_seconds_count") or 0.0
    watching = asyncio.create_task(watch_loop())
    await asyncio.sleep(0.55)
    watching.cancel()
    after = REGISTRY.get_sample_value("hub_loop_lag_seconds_count") or 0.0
    assert after - before >= 3
    assert worst_s() < BLOCKED_S
