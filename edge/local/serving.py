"""The server of the local page with its certificate, which is taken anew when the gateway was enrolled again."""

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from edge.identity.store import load_identity, page_files
from edge.local.http import HttpServer

if TYPE_CHECKING:
    from edge.local.service import LocalPage
    from edge.settings import LocalPageSettings

LOOK_EVERY_S = 30.0

_log = structlog.get_logger()


class Serving:
    """`run` until cancelled. `url` is where browsers find the page, "" before it is open."""

    def __init__(self, settings: "LocalPageSettings", state_dir: Path, page: "LocalPage") -> None:
        """`state_dir`: where the gateway's identity lies."""
        self._settings, self._state_dir = settings, state_dir
        self._context: ssl.SSLContext | None = None
        self._page = page
        self._server: HttpServer | None = None
        self._taken_ns = 0

    @property
    def url(self) -> str:
        """The address, under the first name of its certificate."""
        server = self._server
        if server is None or not server.port:
            return ""
        if self._context is None:
            host = self._settings.address[0]
            scheme = "http"
        else:
            host = load_identity(self._state_dir).page_names()[0]
            scheme = "https"
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{server.port}"

    async def run(self) -> None:
        """Serve; without a certificate say what to do, and look for one now and then."""
        while self._settings.tls and not self._load():
            _log.error(
                "local-page-without-certificate",
                what_to_do="at the hub: wardlink hub gateway add NAME --address HOST; then wardlink edge enrol with that token",
            )
            await asyncio.sleep(LOOK_EVERY_S)
        self._server = HttpServer(self._page.handle, self._page.problem, self._settings.address, self._context)
        looking = asyncio.create_task(self._look())
        try:
            await self._server.serve()
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._settings.tls:
                self._load()

    def _load(self) -> bool:
        """Take certificate and key if they are new; whether there are any. Connections that are open stay as they are."""
        certificate, key = page_files(self._state_dir)
        try:
            changed_ns = certificate.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed_ns != self._taken_ns:
            if self._context is None:
                self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            try:
                self._context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                # between the writes of an enrolment key and certificate do not fit; the next look finds both
                _log.warning("local-page-certificate-not-taken", error=str(error))
                return self._taken_ns != 0
            self._taken_ns = changed_ns
        return True
