"""A device at a real door whose battery is changed while it measures: every reading is a row, in its order, within what its row states."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from edge.identity import Identity, save_identity
from protocols.nomenclature import HEART_RATE
from protocols.record import NS_PER_S, Observation, SourcePath, Times
from protocols.wire import encode_package
from tests.fixtures.agent import Gateway
from tests.fixtures.hub import RunningHub
from tests.fixtures.hub_peer import Authority, write_config
from tests.fixtures.signed_http import Device
from tests.fixtures.waiting import until, until_asked
from wardlink.local.ports import free_port

pytestmark = pytest.mark.integration
PROTOBUF = "application/vnd.wardlink.package+protobuf"
EVERY_S, PPM = 0.4, 50
SUMMER_S, CHANGED_S, ENDS_S = 12.0, 24.0, 37.0  # of the test: the clock is set an hour ahead, then it falls to 1970
_ROWS = """
    select value::int, extract(epoch from time)::float8, uncertainty_ms / 1000.0, clock_segment_id,
           extract(epoch from time)::float8 + device_offset_ms / 1000
      from observation order by time, value"""


def shown_s(at_s: float, began_s: float) -> float:
    """What the device's clock shows at a moment."""
    since_s = (at_s - began_s) * (1 + PPM * 1e-6)
    if since_s < SUMMER_S:
        return began_s + since_s
    return began_s + since_s + 3600 if since_s < CHANGED_S else since_s - CHANGED_S


async def test_a_clock_that_is_set_twice_loses_and_reorders_nothing_and_is_told(tmp_path: Path, hub: RunningHub):
    device, papers, authority = Device("patch-9"), await hub.enrol("gateway-1"), Authority()
    door = authority.server()
    (tmp_path / "door.pem").write_bytes(door.certificate)
    (tmp_path / "door.key").write_bytes(door.key)
    (tmp_path / "patch-9.pem").write_text(device.public_pem)
    url = f"https://127.0.0.1:{free_port()}/packages"
    settings = f"""
[[doors]]
name = "https"
kind = "http"
url = "{url}"
[doors.options]
certificate = "door.pem"
key = "door.key"
[[doors.devices]]
id = "patch-9"
public_key = "patch-9.pem"
"""
    identity = (papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem)
    save_identity(tmp_path / "state", Identity(*identity))
    agent = Gateway(write_config(tmp_path, settings))
    await agent.start()
    truth: list[float] = []
    try:
        await until(lambda: bool(agent.said("door-open")))
        began_s = time.time()
        async with httpx.AsyncClient(verify=False, timeout=10) as client:
            while time.time() < began_s + ENDS_S:
                at_s = time.time()
                device_ns = round(shown_s(at_s, began_s) * NS_PER_S)
                number = len(truth) + 1
                reading = Observation(
                    SourcePath("patch-9", ("probe",)), HEART_RATE, float(number), "/min", Times(0, device_ns)
                )
                answer = await device.post(client, url, PROTOBUF, encode_package("patch-9", number, [reading]))
                assert answer.status_code == 204, answer.text
                truth.append(at_s)
                await asyncio.sleep(max(0.0, at_s + EVERY_S - time.time()))
        await until_asked(lambda: asyncio.to_thread(lambda: len(hub.rows(_ROWS)) >= len(truth)))
        rows = hub.rows(_ROWS)
        assert sorted(value for value, *_ in rows) == list(range(1, len(truth) + 1)), "each reading once"
        inside = [abs(at - truth[value - 1]) <= stated for value, at, stated, *_ in rows]
        assert sum(inside) >= 0.95 * len(inside)
        known = [(value, segment) for value, _, _, segment, _ in rows if segment is not None]
        for segment in {segment for _, segment in known}:
            values = [value for value, own in known if own == segment]
            assert values == sorted(values), "in the order in which they were measured"
        seen = {value: shown for value, *_, shown in rows}
        assert all(abs(seen[n + 1] - shown_s(at, began_s)) < 0.001 for n, at in enumerate(truth)), (
            "as the device showed"
        )
        steps = "select (params ->> 'shift_ns')::float8 / 1e9 from device_event where code = 'WDL_EVT_CLOCK_STEP' order by time"
        await until_asked(lambda: asyncio.to_thread(lambda: len(hub.rows(steps)) == 2))
        (summer,), (changed,) = hub.rows(steps)
        assert summer == pytest.approx(3600, abs=1)
        assert changed == pytest.approx(-(began_s + CHANGED_S + 3600), abs=2)
        settled = [abs(at - truth[v - 1]) for v, at, *_ in rows if v > len(truth) - 2]
        assert max(settled) < 0.2
        assert len({segment for _, segment in known}) == 3
    finally:
        await agent.kill()
