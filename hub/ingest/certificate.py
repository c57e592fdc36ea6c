"""The certificate of the hub's own doors: made at each start of ingest, and anew while it runs, when two thirds of it are over."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog

from hub.gateways.ca import SERVER_DAYS

if TYPE_CHECKING:
    from hub.gateways.ca import CertificateAuthority

_RENEWED_AFTER = 2 / 3
_LOOK_S = 60.0


class ServerCertificate:
    """Key and certificate of the moment, for the uplink (`configuration`, `newer`) and the enrolment door (`write`, `keep`)."""

    def __init__(self, authority: "CertificateAuthority", names: Sequence[str], valid: timedelta | None) -> None:
        """`valid`: how long each is; None: as the authority has it."""
        self._authority, self._names = authority, names
        self._valid = valid or timedelta(days=SERVER_DAYS)
        self._lock = threading.Lock()
        self._make()

    def newer(self) -> grpc.ServerCertificateConfiguration:
        """Give what the next handshake uses; gRPC calls it at each, in a thread of its own."""
        self._look()
        return self.configuration

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the files of key (0600) and chain, as uvicorn and OpenSSL read them from files; returns where they are."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_path, certificate_path = folder / "server.key", folder / "server.pem"
        key_path.touch(mode=0o600)
        key_path.write_bytes(self._key)
        certificate_path.write_bytes(self._chain)
        return key_path, certificate_path

    async def keep(self, folder: Path, context: ssl.SSLContext) -> None:
        """Give the enrolment door each new one, for ever."""
        shown = self._chain
        while True:
            await asyncio.sleep(min(_LOOK_S, self._valid.total_seconds() / 10))
            self._look()
            if self._chain is not shown:
                shown = self._chain
                key_path, certificate_path = self.write(folder)
                context.load_cert_chain(certificate_path, key_path)

    def _look(self) -> None:
        with self._lock:
            if datetime.now(UTC) >= self._due:
                self._make()
                structlog.get_logger().info("server-certificate-renewed", until=self._until.isoformat())

    def _make(self) -> None:
        self._key, certificate = self._authority.issue_server(self._names, self._valid)
        self._chain = certificate + self._authority.pem
        self.configuration = grpc.ssl_server_certificate_configuration(
            [(self._key, self._chain)], root_certificates=self._authority.pem
        )
        now = datetime.now(UTC)
        self._due, self._until = now + self._valid * _RENEWED_AFTER, now + self._valid
