"""A gateway's certificate renews itself while data stream: nothing twice, nothing late, and a hub that forgot it is no dead end."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edge.identity import Identity, load_identity, save_identity, save_renewed
from edge.identity import store as identity_store
from protocols.link import Lane
from tests.fixtures.hub import RunningHub, eventually, running_hub
from tests.fixtures.hub_peer import Authority
from tests.fixtures.hub_process import start_hub
from tests.fixtures.sender import Sending, route_of, sender
from tests.fixtures.spool_records import alarm, heart_rate, waveform
from tests.fixtures.waiting import PATIENCE_S, until
from wardlink.local.database import Database

pytestmark = pytest.mark.integration
LIFE_S = 6.0
STORM_S = 5.0
P99_S = 1.0  # an alarm's way, as the figure alarm-path has it


async def enrolled(hub: RunningHub, state: Path) -> Identity:
    papers = await hub.enrol("gateway-1")
    identity = Identity(
        papers.tenant, papers.gateway, hub.uplink, papers.key_pem, papers.certificate_pem, papers.ca_pem
    )
    save_identity(state, identity)
    return identity


async def stream(agent: Sending, seconds: float) -> list[float]:
    """Append alarms, readings and waveforms ten times a second; how long each alarm took to be acknowledged, s."""
    took: list[float] = []
    began = time.monotonic()
    for i in range(round(seconds * 10)):
        await asyncio.sleep(max(0.0, began + i / 10 - time.monotonic()))
        await agent.append(Lane.WAVEFORM, waveform(25 * i))
        await agent.append(Lane.NUMERIC, heart_rate(60 + i % 40, 1_790_000_000_000_000_000 + i * 100_000_000))
        begun = time.monotonic()
        await agent.append(Lane.ALARM, alarm())
        await until(lambda: not agent.link.waiting(Lane.ALARM), 5)
        took.append(time.monotonic() - begun)
    await until(agent.all_acknowledged, 5)
    return took


@asynccontextmanager
async def short_lived(database: Database, state: Path) -> AsyncGenerator[RunningHub]:
    life = timedelta(seconds=LIFE_S)
    async with running_hub(database, state, valid=life, server_valid=life) as hub:
        yield hub


@pytest.mark.req("IOT-9.1a", "MDP-7.3.2a", surface="protocol")
async def test_certificates_of_both_sides_end_while_data_stream_and_nothing_comes_twice_or_late(
    hub_database: Database, short_folder: Callable[[], Path], tmp_path: Path
):
    async with short_lived(hub_database, short_folder()) as hub:
        first = await enrolled(hub, tmp_path)
        async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
            agent.renew(tmp_path, [hub.uplink])
            took = await stream(agent, 2 * LIFE_S)
            assert datetime.now(UTC) > first.life()[1], "the first certificate ended in between"
            assert load_identity(tmp_path).life()[1] > datetime.now(UTC)
            assert agent.sent_again == []
        print(f"alarms: the slowest of {len(took)} took {max(took) * 1e3:.0f} ms")
        assert max(took) < P99_S
        issued = hub.rows("select count(*), count(renewed_from) from gateway_certificate")[0]
        assert issued[0] == issued[1] + 1 >= 3
        assert hub.rows("select count(*), count(distinct first_sample) from waveform") == [(len(took), len(took))]
        assert hub.rows("select count(*), count(distinct time) from observation") == [(len(took), len(took))]
        assert hub.rows("select count(*) from alarm") == [(len(took),)]
        refused = hub.rows("select body from audit where outcome = 'denied'")
        assert refused == []


@pytest.mark.req("IOT-9.1b", surface="protocol")
def test_any_number_of_connections_at_once_does_not_end_the_hub_not_even_while_its_certificate_renews(
    hub_database: Database, short_folder: Callable[[], Path]
):
    """gRPC takes the certificate from under another connection's handshake when it is given a new one at each."""
    hub = start_hub(hub_database, short_folder(), certificate_s=1.0)
    host, _, port = hub.uplink.partition(":")
    shown: set[bytes] = set()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect(_: int) -> None:
        with socket.create_connection((host, int(port)), PATIENCE_S):
            pass

    try:
        with ThreadPoolExecutor(8) as pool:
            begun = time.monotonic()
            while time.monotonic() - begun < STORM_S:
                list(pool.map(connect, range(500)))
                with (
                    socket.create_connection((host, int(port)), PATIENCE_S) as plain,
                    context.wrap_socket(plain) as tls,
                ):
                    shown.add(tls.getpeercert(binary_form=True) or b"")
        assert hub.process.poll() is None, "the hub has ended"
        assert len(shown) > 1, "its certificate was renewed in between"
    finally:
        hub.kill()


async def test_a_certificate_that_cannot_be_renewed_is_told_long_before_its_end_and_then_what_to_do(
    hub_database: Database, short_folder: Callable[[], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async with short_lived(hub_database, short_folder()) as hub:
        identity = await enrolled(hub, tmp_path)
        async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
            renewal = agent.renew(tmp_path, ["127.0.0.1:1"])
            await agent.append(Lane.NUMERIC, heart_rate(60))
            await until(lambda: bool(renewal.failing), LIFE_S)
            begin, end = identity.life()
            assert datetime.now(UTC) < end - (end - begin) / 4
            assert "127.0.0.1:1: UNAVAILABLE" in renewal.failing
            # The stream that is up ends with the certificate, although TLS would let it go on.
            await until(lambda: "uplink-not-possible" in capsys.readouterr().out, LIFE_S + 5)
            await eventually(lambda: "run wardlink edge enrol" in renewal.failing)
        assert "certificate-expired" in {
            str(reason)
            for (reason,) in hub.rows("select body::jsonb #>> '{details,reason}' from audit where outcome = 'denied'")
        }


async def test_a_hub_that_was_put_back_before_the_renewal_is_shown_the_certificate_that_it_knows(
    hub: RunningHub, tmp_path: Path
):
    known = await enrolled(hub, tmp_path)
    papers = await hub.enrol("gateway-1")
    save_renewed(tmp_path, replace(known, key_pem=papers.key_pem, certificate_pem=papers.certificate_pem))
    serial = f"{x509.load_pem_x509_certificate(papers.certificate_pem).serial_number:x}"
    hub.do("delete from gateway_certificate where serial = %s", serial)
    async with sender(tmp_path, route_of(tmp_path, [hub.uplink])) as agent:
        await agent.append(Lane.NUMERIC, heart_rate(60))
        await until(agent.all_acknowledged, 10)
    assert load_identity(tmp_path) == known


def test_a_crash_at_any_point_of_a_renewal_leaves_an_identity_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every step that changes the folder is cut off in turn, before it and behind it."""
    authority = Authority()
    identities = [authority.identity("127.0.0.1:1", days=days) for days in (1, 2, 3, 4)]
    now = datetime.now(UTC)
    cut_offs = 0
    for begun in (1, 2):
        for change in ("save_renewed", "save_identity"):
            for after in (False, True):
                for step in range(40):
                    state = tmp_path / f"{begun}-{change}-{after}-{step}"
                    save_identity(state, identities[0])
                    for identity in identities[1:begun]:
                        save_renewed(state, identity)
                    steps = _Steps(step, after=after)
                    with monkeypatch.context() as patch:
                        for name in ("rename", "unlink"):
                            patch.setattr(Path, name, steps.watched(getattr(Path, name)))
                        patch.setattr(identity_store.os, "fsync", steps.watched(identity_store.os.fsync))
                        try:
                            getattr(identity_store, change)(state, identities[begun])
                        except _PowerCutError:
                            cut_offs += 1
                    found = load_identity(state)
                    found.check(now)
                    assert found in identities[: begun + 1]
                    if not steps.reached:
                        assert found == identities[begun]
                        break
                else:
                    pytest.fail("more steps than were looked for")
    assert cut_offs > 40


class _PowerCutError(Exception):
    """The machine is off from here on."""


class _Steps:
    """Counts what changes the folder, and ends it at one."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._left, self._after, self.reached = at, after, False

    def watched(self, real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **named: object) -> object:
            last, self._left = self._left == 0, self._left - 1
            self.reached |= last
            if last and not self._after:
                raise _PowerCutError
            result = real(*args, **named)
            if last:
                raise _PowerCutError
            return result

        return step
