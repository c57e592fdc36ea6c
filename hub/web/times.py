"""Measures each request at the outermost place of the role web: its response time by route, and whether the hub failed.

A page is answered when its last byte is sent, a stream of events or a WebSocket when it is open. Pure ASGI.
"""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.core.functions import observe
from hub.core.policy import PUBLIC, declared

_STREAM = b"text/event-stream"


class FunctionTimes:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, told = time.monotonic(), False
        status = 0

        def tell(*, failed: bool) -> None:
            nonlocal told
            name = function_of(scope)
            if not told and name:
                observe(name, time.monotonic() - began, failed=failed)
            told = True

        async def watched(message: Message) -> None:
            nonlocal status
            await send(message)
            kind = message["type"]
            if kind == "http.response.start":
                status = int(message["status"])
                if any(name == b"content-type" and value.startswith(_STREAM) for name, value in message["headers"]):
                    tell(failed=False)
            elif kind == "websocket.accept":
                tell(failed=False)
            elif kind == "http.response.body" and not message.get("more_body", False):
                tell(failed=status >= 500)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            tell(failed=True)
            raise


def function_of(scope: Scope) -> str:
    """The name of the function that a request came to, "" when there is no such route: addresses that people make up are no functions."""
    route, endpoint = scope.get("route"), scope.get("endpoint")
    path = getattr(route, "path", None)
    action = declared(endpoint)
    if not isinstance(path, str) or action is None:
        return ""
    action = PUBLIC if action.startswith(PUBLIC) else action
    return f"web:{action}:{scope.get('method', 'WS')} {path}"
