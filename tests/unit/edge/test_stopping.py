"""A device's pipeline ends when it is told to, even when bytes arrive in the same turn of the loop or its link is gone as well."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from edge.pipeline.device import DevicePipeline, Sink
from firmware_adapters.adapter import API_VERSION, Chunk, Decoder, DeviceConfig, Family, LinkError, Resume
from models.screening.placement import Placement
from protocols.errors import Fault
from protocols.record import NS_PER_S, Record, SourcePath


class Silent:
    """A decoder that makes nothing of its bytes."""

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        return []

    def flush(self, at: int) -> list[Record | Fault]:
        return []


class Chattering:
    """An adapter whose link has bytes whenever `waiting` is given some; `gone`: closing it fails, as of a line that is not there any more."""

    api_version = API_VERSION
    silence_ns = 2 * NS_PER_S
    family = Family("chattering", "nobody", "test", (), "none")

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone
        self.waiting: asyncio.Future[Chunk] | None = None
        self.asked = asyncio.Event()

    def check(self, config: DeviceConfig) -> None:
        return None

    def transport(self, config: DeviceConfig) -> "Chattering":
        return self

    def open(self) -> AbstractAsyncContextManager["Chattering"]:
        @asynccontextmanager
        async def opened() -> AsyncGenerator["Chattering"]:
            try:
                yield self
            finally:
                if self.gone:
                    raise LinkError("the line cannot be closed: no such device")

        return opened()

    async def receive(self) -> Chunk:
        self.waiting = asyncio.get_running_loop().create_future()
        self.asked.set()
        return await self.waiting

    async def send(self, data: bytes) -> None:
        return None

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        return Silent()

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        return ()


async def test_a_pipeline_ends_although_bytes_come_in_the_same_turn():
    adapter = Chattering()
    sink = Sink(lambda records: None, lambda: NS_PER_S)
    config = DeviceConfig("amp", "chattering", "none")
    pipeline = DevicePipeline(adapter, config, sink, placement=Placement(), resume={})
    running = asyncio.create_task(pipeline.run())
    await adapter.asked.wait()
    await asyncio.sleep(0)
    assert adapter.waiting is not None
    adapter.waiting.set_result(Chunk(b"x"))
    running.cancel()
    done, _ = await asyncio.wait((running,), timeout=2)
    assert running in done


async def test_a_pipeline_ends_although_its_link_cannot_be_closed():
    adapter = Chattering(gone=True)
    config = DeviceConfig("amp", "chattering", "none")
    pipeline = DevicePipeline(
        adapter, config, Sink(lambda records: None, lambda: NS_PER_S), placement=Placement(), resume={}
    )
    running = asyncio.create_task(pipeline.run())
    await adapter.asked.wait()
    running.cancel()
    done, _ = await asyncio.wait((running,), timeout=2)
    adapter.gone = False  # one that goes on can be ended by the test's own end
    assert running in done
    assert running.cancelled()
