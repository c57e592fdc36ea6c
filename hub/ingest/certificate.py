"""The certificate of the hub's own doors: made at each start of ingest, and anew while it runs, when two thirds of it are over."""

import asyncio
import ssl
import threading
import time
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
# gRPC asks with a lock held, but takes the certificate for its handshake behind the lock: with a new one given there,
# another handshake may still hold the old one, uncounted, for some microseconds (grpc/grpc#36693).
_SETTLED_S = 0.1


class ServerCertificate:
    """Key and certificate of the moment, for the uplink (`configuration`, `newer`) and the enrolment door (`write`, `keep`)."""

    def __init__(self, authority: "CertificateAuthority", names: Sequence[str], valid: timedelta | None) -> None:
        """`valid`: how long each is; None: as the authority has it."""
        self._authority, self._names = authority, names
        self._valid = valid or timedelta(days=SERVER_DAYS)
        self._lock = threading.Lock()
        self._make()
        self._given = self.configuration

    def newer(self) -> grpc.ServerCertificateConfiguration | None:
        """Give what handshakes use from now on, or None when it is what they use; gRPC calls it at each, from its threads.

        Whatever is returned takes the place of what other handshakes may be using: two of them at once ended the process
        when it was given each time.
        """
        self._look()
        if self.configuration is self._given:
            return None
        time.sleep(_SETTLED_S)
        self._given = self.configuration
        return self._given

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
