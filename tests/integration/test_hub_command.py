"""The hub as people start it: `wardlink hub` as a process, with its own roles, ports, audit and end."""

import socket
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.core import policy
from hub.gateways.ca import CertificateAuthority, load_or_make, make_authority
from hub.gateways.renewal import RenewalDoor
from hub.ingest.door import UplinkDoor
from protocols.uplink_pb2 import DESCRIPTOR
from tests.fixtures.gateway_peer import Credentials, key_pem, make_key, make_request, open_channel, open_stream
from tests.fixtures.hub import eventually
from tests.fixtures.hub_roles import ROLES, Installation, Role, database_addresses

pytestmark = pytest.mark.integration


def client(authority: CertificateAuthority, trusted: CertificateAuthority, valid: timedelta) -> Credentials:
    key = make_key()
    request = x509.load_pem_x509_csr(make_request(key).encode())
    pem = authority.issue_gateway(request, "default", "gateway-1", valid).public_bytes(Encoding.PEM)
    return Credentials(key_pem(key), pem, trusted.pem, "default", "gateway-1")


@pytest.mark.req("IOT-5.4a", surface="protocol")
async def test_a_foreign_or_expired_certificate_is_refused_with_an_audit_event_that_says_which(
    installation: Installation,
):
    authority = load_or_make(installation.state)
    with installation.running("ingest") as ready:
        address = f"127.0.0.1:{ready['ingest']['uplink_port']}"
        for credentials, reason in (
            (client(make_authority(), authority, timedelta(days=1)), "certificate-foreign"),
            (client(authority, authority, timedelta(seconds=-1)), "certificate-expired"),
        ):
            async with open_channel(address, credentials) as channel:
                assert await open_stream(channel).code() is grpc.StatusCode.UNAVAILABLE
            await eventually(lambda reason=reason: reason in installation.denied())


@pytest.mark.req("IOT-9.1a", surface="protocol")
def test_the_uplink_speaks_tls_1_3_only(installation: Installation):
    authority = load_or_make(installation.state)
    with installation.running("ingest") as ready:
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


def test_a_gateway_is_added_listed_and_revoked_by_command(installation: Installation):
    with installation.running("ingest") as ready:
        token = installation.command("gateway", "add", "ward-3").stdout.strip()
        assert token.startswith("wl1.")
        assert installation.command("gateway", "list").stdout.split()[:3] == ["ward-3", "not", "enrolled"]
        overlay = installation.state / "overlay.toml"
        overlay.write_text("[metrics]\nport = 9101\n")
        given = installation.command("gateway", "configure", "ward-3", "--file", str(overlay), "--wait", "0")
        assert (given.returncode, given.stdout) == (0, "Version 1 of ward-3: waiting\n")
        assert "gets it when it connects" in given.stderr
        listed = installation.command("gateway", "configuration", "ward-3").stdout.split()
        assert (listed[0], listed[-3:]) == ("1", ["system:gateway", "configure", "waiting"])
        text = installation.command("gateway", "configuration", "ward-3", "--version", "1").stdout
        assert text == "[metrics]\nport = 9101\n"
        assert installation.command("gateway", "revoke", "ward-3", "--reason", "lost").returncode == 0
        assert installation.command("gateway", "list").stdout.split()[:2] == ["ward-3", "revoked"]
        assert installation.command("gateway", "certificates", "ward-3").stdout == ""
        wrong = installation.command("gateway", "revoke", "ward-3", "--serial", "12")
        assert (wrong.returncode, "gateway certificates ward-3" in wrong.stderr) == (1, True)
        wrong = installation.command("gateway", "revoke", "no-such")
        assert (wrong.returncode, "list of gateways" in wrong.stderr) == (1, True)
        assert ready["ingest"]["enrolment_port"] > 0


def test_admission_of_devices_is_a_matter_of_commands_too(installation: Installation):
    set_to = "select admission from tenant"
    assert installation.command("device", "policy", "open").returncode == 0
    assert installation.rows(set_to) == [("open",)]
    assert installation.command("device", "policy", "required").stdout == "Admission of new devices: required.\n"
    assert installation.rows(set_to) == [("required",)]
    wrong = installation.command("device", "policy", "perhaps")
    assert (wrong.returncode, "expected one of" in wrong.stderr) == (1, True)
    unknown = installation.command("device", "admit", "patch-9")
    assert (unknown.returncode, "once a gateway has heard it" in unknown.stderr) == (1, True)
    add = (
        "insert into device (tenant_id, name, admission) select tenant_id, 'patch-9', 'waiting' from tenant returning 1"
    )
    assert installation.rows(add) == [(1,)]
    admitted = installation.command("device", "admit", "patch-9")
    assert (admitted.stdout, admitted.stderr) == ("patch-9 is admitted.\n", "")
    assert installation.rows("select admission, admitted_by <> '' from device") == [("admitted", True)]
    audited = installation.rows("select action from audit where action ~ '^device' order by seq")
    assert [action for (action,) in audited] == ["device.policy", "device.policy", "device.admit"]
    again = installation.command("device", "admit", "patch-9")
    assert (again.returncode, again.stdout) == (0, "patch-9 is admitted.\n")


def test_roles_run_together_and_end_together(installation: Installation):
    with installation.running("ingest", "worker") as ready:
        assert set(ready) == {"ingest", "worker"}


def test_each_role_that_one_command_starts_has_its_own_database_address_and_no_other(installation: Installation):
    settings = installation.settings("owner", *ROLES)
    settings["DATABASE_URL"] = installation.database.admin_url
    settings["hub_owner_url"] = settings["HUB_OWNER_URL"]  # names of settings count in any case
    together = Role(
        subprocess.Popen(
            [sys.executable, "-m", "wardlink", "hub", "run"], env=settings, stdout=subprocess.PIPE, text=True
        )
    )
    try:
        for _ in ROLES:
            together.said("ready")
        children = Path(f"/proc/{together.process.pid}/task/{together.process.pid}/children").read_text().split()
        assert database_addresses(map(int, children)) == {role: {f"HUB_{role.upper()}_URL"} for role in ROLES}
    finally:
        assert together.end() == 0


def test_a_missing_setting_is_named_with_what_to_do(installation: Installation):
    ended = installation.command("run", "--role", "ingest", roles=("web", "worker"))
    assert ended.returncode == 1
    assert "HUB_INGEST_URL" in ended.stderr


def test_every_method_of_the_uplink_declares_a_policy():
    methods = [method.name for method in DESCRIPTOR.services_by_name["Uplink"].methods]
    assert methods
    assert policy.undeclared_methods(UplinkDoor, methods) == []
    renewal = [method.name.lower() for method in DESCRIPTOR.services_by_name["Identity"].methods]
    assert renewal
    assert policy.undeclared_methods(RenewalDoor, renewal) == []
