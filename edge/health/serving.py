"""Serves the metrics to Prometheus, at the address of the settings of this moment."""

import asyncio
from collections.abc import Callable


class MetricsDoor:
    """One at a time; it ends with the process."""

    def __init__(self) -> None:
        self._address = ("", 0)
        self._close: Callable[[], None] | None = None

    async def serve(self, host: str, port: int) -> None:
        """Be there from now on, and nowhere else; port 0: nowhere. OSError when the port is taken."""
        if (host, port) == self._address:
            return
        if self._close is not None:
            close, self._close, self._address = self._close, None, ("", 0)
            await asyncio.to_thread(close)
        if port:
            self._close = _open(host, port)
            self._address = host, port


def _open(host: str, port: int) -> Callable[[], None]:
    from prometheus_client import start_http_server  # noqa: PLC0415 - only where metrics are served

    server, thread = start_http_server(port, host)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
