"""The hub as people start it: `wardlink hub` as a process, with its own roles, ports, audit and end."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.core import policy
from hub.gateways.ca import CertificateAuthority, load_or_make, make_authority
from hub.ingest.door import UplinkDoor
from protocols.uplink_pb2 import DESCRIPTOR
from tests.fixtures.gateway_peer import Credentials, key_pem, make_key, make_request, open_channel, open_stream
from tests.fixtures.hub import eventually
from wardlink.local.database import Database

pytestmark = pytest.mark.integration


@dataclass
class Hub:
    """A database and a state folder, and the command on them."""

    database: Database
    state: Path

    @property
    def environment(self) -> dict[str, str]:
        roles = ("owner", "ingest", "web", "worker")
        return {
            **os.environ,
            "HUB_STATE_DIR": str(self.state),
            "HUB_UPLINK_LISTEN": "127.0.0.1:0",
            "HUB_ENROLMENT_LISTEN": "127.0.0.1:0",
            **{f"HUB_{role.upper()}_URL": self.database.url_for(f"wardlink_{role}") for role in roles},
        }

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hub", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database.admin_url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    @contextmanager
    def running(self, *roles: str) -> Generator[dict[str, dict[str, int]]]:
        """Run roles; yields what each said when it was ready."""
        arguments = [part for role in roles for part in ("--role", role)]
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", "run", *arguments], env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            ready: dict[str, dict[str, int]] = {}
            for line in process.stdout:
                said = json.loads(line)
                if said["event"] == "ready":
                    ready[said["role"]] = said
                if len(ready) == len(roles):
                    break
            yield ready
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(20)
            process.stdout.close()
        assert code == 0

    def denied(self) -> list[str]:
        with psycopg.connect(self.database.admin_url) as connection:
            rows = connection.execute("select body from audit where outcome = 'denied' order by seq").fetchall()
        return [json.loads(body)["details"]["reason"] for (body,) in rows]


@pytest.fixture
def hub(hub_database: Database, short_folder: Callable[[], Path]) -> Hub:
    return Hub(hub_database, short_folder())


def client(authority: CertificateAuthority, trusted: CertificateAuthority, valid: timedelta) -> Credentials:
    key = make_key()
    request = x509.load_pem_x509_csr(make_request(key).encode())
    pem = authority.issue_gateway(request, "default", "gateway-1", valid).public_bytes(Encoding.PEM)
    return Credentials(key_pem(key), pem, trusted.pem, "default", "gateway-1")


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_foreign_or_expired_certificate_is_refused_with_an_audit_event_that_says_which(hub: Hub):
    authority = load_or_make(hub.state)
    with hub.running("ingest") as ready:
        address = f"127.0.0.1:{ready['ingest']['uplink_port']}"
        for credentials, reason in (
            (client(make_authority(), authority, timedelta(days=1)), "certificate-foreign"),
            (client(authority, authority, timedelta(seconds=-1)), "certificate-expired"),
        ):
            async with open_channel(address, credentials) as channel:
                assert await open_stream(channel).code() is grpc.StatusCode.UNAVAILABLE
            await eventually(lambda reason=reason: reason in hub.denied())


@pytest.mark.req("IOT-9.1a", surface="protocol")
def test_the_uplink_speaks_tls_1_3_only(hub: Hub):
    authority = load_or_make(hub.state)
    with hub.running("ingest") as ready:
        port = ready["ingest"]["uplink_port"]
        assert shake_hands(authority, port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert shake_hands(authority, port, ssl.TLSVersion.TLSv1_2) == ""


def shake_hands(authority: CertificateAuthority, port: int, version: ssl.TLSVersion) -> str:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw, server_hostname="localhost") as wrapped:
                return wrapped.version() or ""
        except (ssl.SSLError, ConnectionError):
            return ""


def test_a_gateway_is_added_listed_and_revoked_by_command(hub: Hub):
    with hub.running("ingest") as ready:
        token = hub.command("gateway", "add", "ward-3").stdout.strip()
        assert token.startswith("wl1.")
        assert hub.command("gateway", "list").stdout.split()[:3] == ["ward-3", "not", "enrolled"]
        assert hub.command("gateway", "revoke", "ward-3", "--reason", "lost").returncode == 0
        assert hub.command("gateway", "list").stdout.split()[:2] == ["ward-3", "revoked"]
        wrong = hub.command("gateway", "revoke", "no-such")
        assert (wrong.returncode, "list of gateways" in wrong.stderr) == (1, True)
        assert ready["ingest"]["enrolment_port"] > 0


def test_admission_of_devices_is_a_matter_of_commands_too(hub: Hub):
    set_to = "select admission from tenant"
    assert hub.command("device", "policy", "open").returncode == 0
    assert hub.rows(set_to) == [("open",)]
    assert hub.command("device", "policy", "required").stdout == "Admission of new devices: required.\n"
    assert hub.rows(set_to) == [("required",)]
    wrong = hub.command("device", "policy", "perhaps")
    assert (wrong.returncode, "expected one of" in wrong.stderr) == (1, True)
    unknown = hub.command("device", "admit", "patch-9")
    assert (unknown.returncode, "once a gateway has heard it" in unknown.stderr) == (1, True)
    add = (
        "insert into device (tenant_id, name, admission) select tenant_id, 'patch-9', 'waiting' from tenant returning 1"
    )
    assert hub.rows(add) == [(1,)]
    admitted = hub.command("device", "admit", "patch-9")
    assert (admitted.stdout, admitted.stderr) == ("patch-9 is admitted.\n", "")
    assert hub.rows("select admission, admitted_by <> '' from device") == [("admitted", True)]
    audited = hub.rows("select action from audit where action like 'device.%' order by seq")
    assert [action for (action,) in audited] == ["device.policy", "device.policy", "device.admit"]


def test_roles_run_together_and_end_together(hub: Hub):
    with hub.running("ingest", "worker") as ready:
        assert set(ready) == {"ingest", "worker"}


def test_a_missing_setting_is_named_with_what_to_do(hub: Hub):
    environment = {k: v for k, v in hub.environment.items() if k != "HUB_INGEST_URL"}
    ended = subprocess.run(
        [sys.executable, "-m", "hub", "run", "--role", "ingest"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "HUB_INGEST_URL" in ended.stderr


def test_every_method_of_the_uplink_declares_a_policy():
    methods = [method.name for method in DESCRIPTOR.services_by_name["Uplink"].methods]
    assert methods
    assert policy.undeclared_methods(UplinkDoor, methods) == []
