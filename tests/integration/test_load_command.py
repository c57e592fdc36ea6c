"""`wardlink load` at a hub that runs: real enrolment, real uplinks, and a count of what arrived that nobody can talk up."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.hub import RunningHub, running_hub
from wardlink.load.hub import missing
from wardlink.load.signals import Bed, load_numbers, load_recordings
from wardlink.local.database import Database

pytestmark = pytest.mark.integration

GATEWAYS, BEDS, SECONDS = 2, 2, 3.0
ANSWERED_MS = 2000  # the batcher holds 250 ms of it; the goal of figure `alarm-path` is stricter, on a quiet machine


@pytest.fixture
async def hub(hub_database: Database, short_folder: Callable[[], Path]) -> AsyncGenerator[RunningHub]:
    async with running_hub(hub_database, short_folder()) as running:
        yield running


async def load(*words: str | Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wardlink", "load", *map(str, words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.req("ECG-6.2.1a", surface="command")
async def test_what_many_gateways_sent_is_acknowledged_and_stored_and_a_missing_row_is_told(
    hub: RunningHub, captures: Path, tmp_path: Path
) -> None:
    names = [f"load-{i}" for i in range(GATEWAYS)]
    port = hub.server.enrolment_port
    tokens = [await token_at(hub, name, port) for name in names]
    (tmp_path / "tokens").write_text("\n".join(tokens))
    code, out, err = await load(
        "--gateways", str(GATEWAYS), "--beds", str(BEDS), "--minutes", str(SECONDS / 60), "--processes", "1",
        "--tokens", tmp_path / "tokens", "--json", tmp_path / "result.json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads((tmp_path / "result.json").read_text())
    assert (found["gateways"], found["beds"], found["unacknowledged"]) == (GATEWAYS, GATEWAYS * BEDS, 0)
    # the batcher may hold a record for 250 ms, and nothing is acknowledged before it was sent
    assert 0 < found["acknowledged"]["p50"] <= found["acknowledged"]["p95"] <= found["acknowledged"]["p99"]
    assert found["acknowledged"]["p95"] < ANSWERED_MS
    assert "0 of" in out

    records = [hub.rows("select count(*) from observation"), hub.rows("select count(*) from waveform")]
    stored = sum(int(str(rows[0][0])) for rows in records)
    assert stored == found["acknowledged"]["n"]
    assert stored >= GATEWAYS * BEDS * (SECONDS - 1) * 5

    # a bed of the same name plays the same: what it would have sent is known without the command
    samples = int(str(hub.rows("select sum(n) from waveform join stream s using (stream_id) join source p using (source_id) where p.path = 'load-0-bed-1/ecg'")[0][0]))  # fmt: skip
    readings = int(str(hub.rows("select count(*) from observation join series using (series_id) join source p using (source_id) where p.path = 'load-0-bed-1/monitor'")[0][0]))  # fmt: skip
    bed = Bed("load-0-bed-1", load_recordings(captures)[0], load_numbers(captures), at=0)
    while bed.samples < samples:
        list(bed.next(0))
    sent = {"load-0-bed-1": (bed.samples, bed.digest, bed.readings)}
    assert bed.readings == readings
    assert missing(hub.database.admin_url, sent) == []
    with closing(psycopg.connect(hub.database.admin_url, autocommit=True)) as connection:
        connection.execute("delete from waveform where first_sample > 0 and first_sample < 100")
    [told] = missing(hub.database.admin_url, sent)
    assert told == f"load-0-bed-1: 72 of {samples} samples are stored in one row"


async def token_at(hub: RunningHub, name: str, port: int) -> str:
    """A token whose address is the door of this hub."""
    body = (await hub.add(name)).removeprefix("wl1.")
    fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    fields["u"] = f"https://127.0.0.1:{port}"
    return "wl1." + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
