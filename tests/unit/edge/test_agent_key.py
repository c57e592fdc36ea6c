"""The agent and the key of its spool: what it tells of it, and that it does not start without one that it needs."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from edge.app import Agent, AgentError
from edge.identity import save_identity
from edge.settings import EdgeSettings, load_settings
from edge.spool import KeySource, Spool
from protocols.link import Lane
from protocols.nomenclature import EVT_GATEWAY_STATUS
from protocols.record import DeviceEvent
from protocols.wire import decode_batch, decode_record
from tests.fixtures.hub_peer import Authority
from tests.fixtures.waiting import until


@pytest.fixture
def settings(tmp_path: Path) -> EdgeSettings:
    """Of an enrolled gateway whose hub is out of reach."""
    save_identity(tmp_path / "state", Authority().identity("127.0.0.1:1"))
    (tmp_path / "edge.toml").write_text('state_dir = "state"\n')
    return load_settings(tmp_path / "edge.toml")


async def told_by(settings: EdgeSettings) -> tuple[Mapping[str, object], list[str]]:
    """What an agent says of itself to the hub, and what it logs as a warning, until it has said the former."""
    stop, spool = asyncio.Event(), settings.state_dir / "spool"
    with capture_logs() as log:
        running = asyncio.create_task(Agent(settings).run(stop))
        await until(lambda: running.done() or any(line["event"] == "agent-started" for line in log))
        await asyncio.sleep(1.5)  # it looks at itself once a second
        stop.set()
        await running
    credential = settings.state_dir.parent / "credentials" / "spool.key"
    keys = KeySource(settings.state_dir / "spool.key", credential)
    opened = await Spool.open(spool, lambda: 0, settings.spool.limits(), keys)
    try:
        batches = [opened.read(Lane.EVENT, n) or b"" for n in range(1, opened.newest(Lane.EVENT) + 1)]
    finally:
        await opened.close()
    events = [decode_record(e.record) for batch in batches for e in decode_batch(batch).records]
    status = [e for e in events if isinstance(e, DeviceEvent) and e.code == EVT_GATEWAY_STATUS]
    return dict(status[-1].params), [str(line["event"]) for line in log if line["log_level"] == "warning"]


def in_file() -> float | None:
    return REGISTRY.get_sample_value("edge_spool_key_in_file")


async def test_a_key_in_a_file_is_a_warning_and_a_credential_is_none(
    settings: EdgeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    status, warnings = await told_by(settings)
    assert (status["spool_key"], in_file()) == ("file", 1)
    assert "spool-key-in-file" in warnings
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "spool.key").write_text("ab" * 32)
    status, warnings = await told_by(settings)
    assert (status["spool_key"], in_file()) == ("credential", 0)
    assert "spool-key-in-file" not in warnings
    assert REGISTRY.get_sample_value("edge_spool_older_keys") == 1, "segments of the file's key are still there"
    (settings.state_dir / "spool.key").unlink()
    with pytest.raises(AgentError, match=r"the keys that some of its segments are encrypted with are not there"):
        await Agent(settings).run(asyncio.Event())
    assert "ab" * 32 not in json.dumps(status)
