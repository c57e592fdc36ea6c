"""What a load tells: percentiles of counts, what is missing, and which hubs it leaves alone."""

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardlink.load.commands import app, is_loopback
from wardlink.load.report import delay, report, table
from wardlink.load.senders import Sent


def sent(unacknowledged: int = 0, took: dict[int, int] | None = None) -> Sent:
    return Sent({10: 99, 400: 1} if took is None else took, 20, 5000, 100, unacknowledged, {"bed": (250, "ab", 3)})


def test_a_percentile_is_the_least_delay_that_so_many_do_not_exceed() -> None:
    # nearest rank over 1, 1, ... (50 of 1 ms, 45 of 2, 4 of 30, 1 of 900)
    found = delay({1: 50, 2: 45, 30: 4, 900: 1})
    assert found is not None
    assert (found.p50, found.p95, found.p99, found.n) == (1, 2, 30, 100)
    assert delay({}) is None


def test_several_processes_make_one_report() -> None:
    found = report(4, [sent(), sent()], 10.0, {50: 3}, {"ingest": 2.5}, [])
    assert (found.beds, found.batches, found.records_a_s, found.bytes_a_s) == (2, 40, 20.0, 1000)
    assert found.cpu_percent == {"ingest": 25.0}
    assert found.is_whole
    assert "stored whole" in table(found)


@pytest.mark.parametrize(
    ("processes", "missing", "told"),
    [
        ([sent(unacknowledged=2)], [], "2 batches were not acknowledged"),
        ([sent()], ["bed: 1 of 3 readings are stored"], "bed: 1 of 3 readings are stored"),
        ([sent(took={})], [], "nothing was acknowledged"),
    ],
)
def test_what_is_missing_is_told_and_makes_it_not_whole(processes: list[Sent], missing: list[str], told: str) -> None:
    found = report(1, processes, 1.0, {}, {}, missing)
    assert not found.is_whole
    assert f"MISSING: {told}" in table(found)


def test_a_database_that_cannot_be_asked_is_not_called_whole() -> None:
    text = table(report(1, [sent()], 1.0, {}, {}, None))
    assert "stored whole:" not in text
    assert "was not asked" in text


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("hub.example", False), ("localhost.example", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


@pytest.mark.parametrize("said", [[], ["--test-hub", "other.example"]])
def test_a_hub_elsewhere_is_left_alone_unless_its_name_is_said_again(said: list[str], tmp_path: Path) -> None:
    fields = {"u": "https://hub.example", "f": "ab" * 32, "s": "secret", "g": "gateway-1", "t": "default"}
    (tmp_path / "tokens").write_text(
        "wl1." + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
    )
    done = CliRunner().invoke(app, ["--gateways", "1", "--tokens", str(tmp_path / "tokens"), *said])
    assert done.exit_code == 1
    assert "--test-hub hub.example" in done.output
