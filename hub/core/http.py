"""Uvicorn as a part of a process that has its own signal handlers."""

import asyncio
from contextlib import AbstractContextManager, nullcontext

import uvicorn

_LOOK_AGAIN_S = 0.01


class QuietServer(uvicorn.Server):
    """A server that leaves signals to the composition root."""

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
