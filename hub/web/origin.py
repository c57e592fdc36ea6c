"""Tells what stands behind it from where each request comes. Pure ASGI."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.core.caller import Caller, called_by


class KnownOrigin:
    """Sets the caller of each request and each stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with called_by(caller_of(HTTPConnection(scope))):
            await self._app(scope, receive, send)


def caller_of(connection: HTTPConnection) -> Caller:
    """From where a request comes: the address (of the browser, where a trusted proxy tells it), and what the browser says of itself."""
    return Caller(connection.client.host if connection.client else "", connection.headers.get("user-agent", ""))
