"""`wardlink edge enrol` against an enrolment door over real TLS: whom it trusts, what it sends, what it says when refused."""

import base64
import json
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from edge.commands import app
from edge.identity import load_identity
from tests.fixtures.hub_peer import GATEWAY, TENANT, Authority

pytestmark = pytest.mark.integration
SECRET = "one-time"


@dataclass
class Door:
    """What the door was asked."""

    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def door(
    authority: Authority, folder: Path, shown: bytes | None = None, server: Authority | None = None
) -> Generator[Door]:
    """`shown`: the authority it says it is; `server`: who vouches for its TLS certificate."""
    state = Door()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, shown or authority.pem)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(body)
            if body["secret"] != SECRET:
                problem = {
                    "title": "The token was used already",
                    "detail": "It was used today.",
                    "what_to_do": "Ask for another one.",
                }
                self._answer(403, json.dumps(problem).encode())
                return
            answer = {
                "certificate_pem": authority.sign(body["csr_pem"]).decode(),
                "ca_pem": authority.pem.decode(),
                "tenant": TENANT,
                "gateway": GATEWAY,
                "uplink": "127.0.0.1:7443",
            }
            self._answer(201, json.dumps(answer).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            del format, args

    papers = (server or authority).server()
    (folder / "server.pem").write_bytes(papers.key + papers.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    state.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def token(port: int, authority: Authority, secret: str = SECRET) -> str:
    fields = {"u": f"https://127.0.0.1:{port}", "f": authority.fingerprint, "s": secret, "g": GATEWAY, "t": TENANT}
    return "wl1." + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


def enrol(text: str, state: Path):
    return CliRunner().invoke(app, ["enrol", text, "--state", str(state)])


def test_a_gateway_makes_its_key_and_gets_its_certificate_for_the_one_time_token(tmp_path: Path):
    authority = Authority()
    with door(authority, tmp_path) as asked:
        result = enrol(token(asked.port, authority), tmp_path / "state")
    assert result.exit_code == 0, result.output
    assert "Enrolled as gateway-1" in result.output
    key = tmp_path / "state" / "identity" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    [request] = asked.requests
    assert "PRIVATE" not in request["csr_pem"]
    csr = x509.load_pem_x509_csr(request["csr_pem"].encode())
    assert csr.is_signature_valid
    identity = load_identity(tmp_path / "state")
    identity.check(datetime.now(UTC))
    assert identity.uplink == "127.0.0.1:7443"
    status = CliRunner().invoke(app, ["status", "--state", str(tmp_path / "state")])
    assert "gateway-1 of default" in status.output


def test_a_hub_with_another_authority_than_the_tokens_gets_no_secret(tmp_path: Path):
    authority, other = Authority(), Authority()
    with door(other, tmp_path) as asked:
        result = enrol(token(asked.port, authority), tmp_path / "state")
    assert result.exit_code == 1
    assert "not the hub that made the token" in result.output
    assert not asked.requests
    assert not (tmp_path / "state" / "identity").exists()


def test_a_stranger_that_shows_the_right_authority_but_is_not_vouched_for_gets_no_secret(tmp_path: Path):
    authority = Authority()
    with door(authority, tmp_path, server=Authority()) as asked:
        result = enrol(token(asked.port, authority), tmp_path / "state")
    assert result.exit_code == 1
    assert "does not vouch for" in result.output
    assert not asked.requests


def test_a_refusal_is_told_in_the_hubs_words(tmp_path: Path):
    authority = Authority()
    with door(authority, tmp_path) as asked:
        result = enrol(token(asked.port, authority, "spent"), tmp_path / "state")
    assert result.exit_code == 1
    assert "The token was used already. It was used today. Ask for another one." in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "does not begin with"),
        ("wl1.%%%", "damaged or cut off"),
        ("wl1." + base64.urlsafe_b64encode(b'{"u": "https://h"}').decode(), "lacks f, s, g, t"),
        ("wl1." + base64.urlsafe_b64encode(b'{"u":"http://h","f":"0","s":"1","g":"2","t":"3"}').decode(), "no https"),
        (
            "wl1." + base64.urlsafe_b64encode(b'{"u":"https://h","f":"0","s":"1","g":"2","t":"3"}').decode(),
            "no SHA-256",
        ),
    ],
)
def test_a_token_that_cannot_be_used_is_explained(tmp_path: Path, text: str, said: str):
    result = enrol(text, tmp_path)
    assert result.exit_code == 1
    assert said in result.output


def test_an_agent_that_is_not_enrolled_says_what_to_do(tmp_path: Path):
    (tmp_path / "edge.toml").write_text('state_dir = "state"\n')
    result = CliRunner().invoke(app, ["run", "--config", str(tmp_path / "edge.toml")])
    assert result.exit_code == 1
    assert "run wardlink edge enrol TOKEN" in result.output
