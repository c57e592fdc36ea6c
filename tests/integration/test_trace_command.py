"""`wardlink trace` as a process: the next message of a device, hop by hop, and what it says when none comes."""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from edge.identity import Identity, save_identity
from firmware_adapters.simulate.cyton import RATE_HZ, Board
from protocols.link import Lane
from protocols.live_frame import read_head
from protocols.nomenclature import HEART_RATE
from protocols.record import NS_PER_S, Observation, Times
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import write_config
from tests.fixtures.hub_roles import Installation
from tests.fixtures.waiting import until, until_asked
from tests.fixtures.web import SOURCE, RunningWeb, deliver, now_ns

pytestmark = pytest.mark.integration
FROM_THE_HUB = ["received by the hub", "committed", "pushed to the pages"]
IN_THE_AGENT = ["bytes at the gateway's door", "decoded", "screened", "batch closed", "written and synced", "sent"]
AT_A_PAGE = ["taken by the role web", "sent to a page", "painted, at the latest"]
VALUE = 73.25
SILENT_FROM_MS = 2000  # what a page promises of a live link: a device whose data come later is told to be silent


async def trace(hub: RunningHub, device: str, within_s: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlink", "trace", device, "--within", str(within_s),
        env=Installation(hub.database, hub.state).settings("web"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def read_table(lines: list[str]) -> dict[str, tuple[str, float]]:
    """The hops of the printed table: by whose clock, and ms behind the one before (0 for the first)."""
    found = (
        re.fullmatch(r"(\S.*?) {2,}[\d:.]{15}  (device|gateway|hub|page) *(?:(-?[\d.]+) ms\*?)?", line)
        for line in lines
    )
    return {hop[1]: (hop[2], float(hop[3] or 0)) for hop in found if hop}


async def test_the_next_message_is_followed_from_the_device_to_the_push_where_neither_agent_nor_page_tells(
    hub: RunningHub,
):
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
    about, position, _, _, *lines = out.decode().splitlines()
    assert about == f"{SOURCE}  observation  {HEART_RATE}"
    assert re.fullmatch(rf"batch \d+ of lane numeric, 1 records, gateway gateway-1, epoch {peer.epoch.hex()}", position)
    table = read_table(lines)
    assert list(table) == ["device measured", "seen by the gateway", "batch closed", *FROM_THE_HUB]
    assert table["seen by the gateway"][1] == pytest.approx(300, abs=1)
    assert all(0 <= table[hop][1] < 5_000 for hop in FROM_THE_HUB)
    unseen = [line for line in lines if line.startswith("not seen: ")]
    assert unseen == [
        "not seen: inside the agent: the agent of gateway-1 (version test) does not tell its hops; a newer one does",
        "not seen: the pages: no role web took it from the push; it has to run on ingest's machine, with the same HUB_STATE_DIR",
    ]
    told = hub.rows("select told::text, (told->>'received_ns')::bigint from trace")
    assert str(VALUE) not in str(told[0][0])
    assert int(str(told[0][1])) > before
    assert hub.rows(
        "select count(*) from audit where action = 'trace.follow' and target = %s", f"device:{SOURCE.device}"
    ) == [(1,)]


@pytest.fixture
def board() -> Board:
    return Board(np.arange(60 * RATE_HZ, dtype=np.float64)[None, :])


@asynccontextmanager
async def gateway(hub: RunningHub, folder: Path, port: Path) -> AsyncGenerator[Gateway]:
    """A real agent with an amplifier on a serial line."""
    papers = await hub.enrol("gateway-1")
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(folder / "state", Identity(*identity))
    device = f'[[devices]]\nid = "{SOURCE.device}"\nfamily = "cyton"\nurl = "{port}"\n[devices.options]\nchannels = {{ "1" = "II" }}\n'
    agent = Gateway(write_config(folder, device))
    await agent.start()
    try:
        await until(lambda: hub.rows("select 1 from waveform limit 1") != [], 30)
        yield agent
    finally:
        await agent.kill()


@asynccontextmanager
async def page(web: RunningWeb) -> AsyncGenerator[None]:
    """Somebody looks at the ward, and the page says of each fifth frame that it has painted it."""
    client = await web.signed_in()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    async with connect(f"ws://{web.address}/ws/ward/7b", additional_headers={"Cookie": cookie}) as socket:

        async def look() -> None:
            async for frame in socket:
                assert isinstance(frame, bytes)
                if (number := read_head(frame).number) % 5 == 0:
                    await socket.send(json.dumps({"painted": {"frame": number, "at_ms": time.time() * 1000}}))

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


async def of_the_ecg(hub: RunningHub) -> tuple[str, int]:
    """What a trace of the amplifier tells, and its exit; asked again where it followed the accelerometer, as the next message is followed, whichever it is."""
    out, code = await said(await trace(hub, SOURCE.device, 20))
    for _ in range(8):
        if "/accelerometer " not in out:
            break
        out, code = await said(await trace(hub, SOURCE.device, 20))
    return out, code


@pytest.mark.req("IOT-9.2a", surface="command")
@pytest.mark.usefixtures("web")
async def test_a_message_of_a_real_agent_is_followed_from_the_door_to_the_paint_on_a_page(
    hub: RunningHub, web: RunningWeb, tmp_path: Path, port: Path
):
    async with gateway(hub, tmp_path, port) as agent:
        async with page(web):
            out, code = await of_the_ecg(hub)
        print(out)
        lines = out.splitlines()
        table = read_table(lines)
        assert code == 0
        assert lines[0] == f"{SOURCE.device}/ecg  waveform"
        between = ["acknowledged, counted from sent", "pushed to the pages"]
        hops = [*IN_THE_AGENT, "received by the hub", "committed", *between, *AT_A_PAGE]
        assert list(table) == ["seen by the gateway", *hops]
        assert not [line for line in lines if line.startswith("not seen")]
        # One machine, so that the clocks are one: each hop is behind the one that it is counted from.
        assert all(took_ms >= 0 for _, took_ms in table.values())
        assert table["batch closed"][1] <= SILENT_FROM_MS
        told = hub.rows("select told from trace where told ? 'kind' order by trace_id desc")[0][0]
        assert isinstance(told, dict)
        assert (
            told["door_ns"]
            < told["decoded_ns"]
            <= told["screened_ns"]
            <= told["closed_ns"]
            < told["durable_ns"]
            < told["sent_ns"]
            < told["received_ns"]
            < told["committed_ns"]
            < told["acknowledged_ns"]
        )
        # the batch that it names is the one with the record: the hub has its samples at that time
        near = "select 1 from waveform where abs(extract(epoch from start) * 1e9 - %s) < 1e6"
        assert len(hub.rows(near, told.get("corrected_ns", told["record_ns"]))) == 1
        out, _ = await of_the_ecg(hub)
        assert [line for line in out.splitlines() if line.startswith("not seen")] == [
            "not seen: a page: nobody looks at the page of its ward"
        ]
        await agent.kill()
    out, code = await said(await trace(hub, SOURCE.device, 0.5))
    assert code == 1
    assert "its gateway gateway-1 is not connected, or no ingest runs; the last of it was stored: 20" in out


async def said(command: asyncio.subprocess.Process) -> tuple[str, int]:
    """Both outputs as one, and the exit status."""
    out, errors = await command.communicate()
    assert command.returncode is not None
    return (out + errors).decode(), command.returncode


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
