"""The server of the role web: uvicorn with this application's limits; ends open streams first when it stops."""

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import uvicorn

from hub.core.http import QuietServer

if TYPE_CHECKING:
    from fastapi import FastAPI

    from hub.wards.room import Room

_MAX_MESSAGE = 4096  # browsers send nothing but short notes
_STOP_S = 3


class WebServer(QuietServer):
    """Serves `hub.web.app`."""

    def __init__(self, app: "FastAPI", host: str, port: int, proxies: Sequence[str] = ()) -> None:
        """`port` 0: any free one. `proxies`: addresses and networks whose `X-Forwarded-For` and `-Proto` are believed."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                ws="websockets-sansio",
                ws_max_size=_MAX_MESSAGE,
                timeout_graceful_shutdown=_STOP_S,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
            )
        )
        self._room: Room = app.state.room

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let browsers go, which come back to whoever serves next; then stop."""
        self._room.close()
        await super().shutdown(sockets)
