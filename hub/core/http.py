"""Uvicorn as a part of a process that has its own signal handlers."""

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext, suppress

import uvicorn

_LOOK_AGAIN_S = 0.01
_TICK_S = 0.1  # as uvicorn's own loop, which also renews the date of its answers by it
_CLOSED_WITHIN_S = 0.1  # what uvicorn gives connections without a request, whether there are any or not


class QuietServer(uvicorn.Server):
    """A server that leaves signals to the composition root."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaves = asyncio.Event()

    def leave(self) -> None:
        """Stop serving: at once, where uvicorn's own flag is looked at ten times a second."""
        self.should_exit = True
        self._leaves.set()

    async def main_loop(self) -> None:
        """Return when it is to stop."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaves.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let connections end that have no request, and then those that have one; wait for none where there is none."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(round(_CLOSED_WITHIN_S / _LOOK_AGAIN_S)):
            await asyncio.sleep(0)  # one that was taken just now
            if not self.server_state.connections and not self.server_state.tasks:
                await self.lifespan.shutdown()
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        await super().shutdown(sockets)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing."""
        return nullcontext()

    async def begin(self) -> asyncio.Task[None]:
        """Serve in a task; returns it when the port is open, or raises why it could not be."""
        serving = asyncio.create_task(self._serve_or_say_why())
        while not self.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(_LOOK_AGAIN_S)
        if serving.done():
            serving.result()
        return serving

    @property
    def port(self) -> int:
        """The port that is open."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def _serve_or_say_why(self) -> None:
        try:
            await self.serve()
        except SystemExit as error:  # uvicorn's way to say that the port is taken
            msg = f"cannot listen on {self.config.host}:{self.config.port}; is another hub running there?"
            raise OSError(msg) from error
