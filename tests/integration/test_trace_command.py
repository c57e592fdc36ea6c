"""`wardlink trace` as a process: the next message of a device, hop by hop, and what it says when none comes."""

import asyncio
import re
import sys
import time

import pytest

from protocols.link import Lane
from protocols.nomenclature import HEART_RATE
from protocols.record import NS_PER_S, Observation, Times
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_roles import Installation
from tests.fixtures.waiting import until_asked
from tests.fixtures.web import SOURCE, deliver, now_ns

pytestmark = pytest.mark.integration
HOPS = ["device measured", "came to the gateway's door", "batch closed on the gateway", "received by the hub", "committed", "pushed to the pages"]  # fmt: skip
VALUE = 73.25


async def trace(hub: RunningHub, device: str, within_s: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlink", "trace", device, "--within", str(within_s),
        env=Installation(hub.database, hub.state).settings("web"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_the_next_message_is_followed_from_the_device_to_the_pages(hub: RunningHub):
    peer = await hub.peer()
    times = Times(now_ns() - NS_PER_S // 5, device_ns=now_ns() - NS_PER_S // 2)
    await deliver(hub, peer, Lane.NUMERIC, Observation(SOURCE, HEART_RATE, VALUE, "/min", times))
    command = await trace(hub, SOURCE.device, 30)
    await until_asked(lambda: asyncio.to_thread(lambda: hub.rows("select trace_id from trace") != []))
    before = time.time_ns()
    while command.returncode is None:
        await deliver(hub, peer, Lane.NUMERIC, Observation(SOURCE, HEART_RATE, VALUE, "/min", times))
        await asyncio.sleep(0.2)
    out, errors = await command.communicate()
    assert (command.returncode, errors) == (0, b"")
    about, position, *hops = out.decode().splitlines()
    assert about == f"{SOURCE}  observation  {HEART_RATE}"
    assert re.fullmatch(rf"batch \d+ of lane numeric, 1 records, gateway gateway-1, epoch {peer.epoch.hex()}", position)
    assert [re.split(r"  +", hop)[0] for hop in hops] == HOPS
    between = [float(found) for found in re.findall(r"([+-][\d.]+) ms", out.decode())]
    assert between[0] == pytest.approx(300, abs=1)
    assert all(0 <= ms < 5_000 for ms in between[2:])
    told = hub.rows("select told::text, (told->>'received_ns')::bigint from trace")
    assert str(VALUE) not in str(told[0][0])
    assert int(str(told[0][1])) > before
    assert hub.rows(
        "select count(*) from audit where action = 'trace.follow' and target = %s", f"device:{SOURCE.device}"
    ) == [(1,)]


async def test_a_device_that_is_not_known_or_says_nothing_is_told_so(hub: RunningHub):
    await deliver(hub, await hub.peer(), Lane.NUMERIC, Observation(SOURCE, HEART_RATE, VALUE, "/min", Times(now_ns())))
    for device, within_s, said in (
        ("nothing", 1, "There is no device 'nothing'."),
        (SOURCE.device, 0.5, "last heard: 20"),
    ):
        command = await trace(hub, device, within_s)
        out, errors = await command.communicate()
        assert (command.returncode, out) == (1, b"")
        assert said in errors.decode()
