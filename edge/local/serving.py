"""The server of the local page with its certificate, which is taken anew when the gateway was enrolled again."""

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from edge.identity.store import IdentityError, load_identity, page_files
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
        self._host = ""  # the first name of the certificate

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
            host = self._host
            scheme = "https"
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{server.port}"

    async def run(self) -> None:
        """Serve; without a certificate say what to do, and look for one now and then."""
        while self._settings.tls and not await self._load():
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
                await self._load()

    async def _load(self) -> bool:
        """Take certificate and key if they are new; whether there are any. Connections that are open stay as they are."""
        try:
            found = await asyncio.to_thread(_found, self._state_dir, self._taken_ns)
        except (IdentityError, OSError) as error:
            _log.warning("local-page-certificate-not-read", error=str(error))
            return self._taken_ns != 0
        if found is None:
            return False
        certificate, key, changed_ns, host = found
        # What has just been read once more beside the loop: a context that serves is not for a second thread.
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
            self._taken_ns, self._host = changed_ns, host
        return True


def _found(state_dir: Path, taken_ns: int) -> tuple[Path, Path, int, str] | None:
    """Certificate, key, when they were written, and the first name in them, "" for those that are taken; None without any. Blocking."""
    certificate, key = page_files(state_dir)
    try:
        changed_ns = certificate.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    names = [] if changed_ns == taken_ns else load_identity(state_dir).page_names()
    return certificate, key, changed_ns, next(iter(names), "")
