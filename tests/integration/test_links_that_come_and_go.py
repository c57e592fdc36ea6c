"""A link that is lost again and again leaves nothing behind in the agent: the compressed form of figure `edge-memory`'s thousand reconnections."""

import asyncio
import gc
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from edge.pipeline import device
from edge.pipeline.device import DevicePipeline, Sink
from firmware_adapters.adapter import DeviceConfig
from firmware_adapters.registry import find_adapter
from firmware_adapters.simulate.nonin import Oximeter, Reading
from models.screening.placement import Placement
from tests.fixtures.waiting import until

if TYPE_CHECKING:
    from protocols.record import Record

pytestmark = pytest.mark.integration
SETTLED, RECONNECTS = 100, 200
SPARE = 40  # objects; what one lost link would leave is in the dozens


async def test_two_hundred_reconnections_of_a_serial_line_leave_no_object(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(device, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(device, "LONGEST_PAUSE_S", 0.001)
    box = Oximeter(np.arange(5000.0), [Reading(0, 97, 72)])
    opened = 0
    records: set[type[Record]] = set()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        writer.write(b"".join(box.next_packet() for _ in range(10)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sink = Sink(lambda taken: records.update(type(r) for r in taken), time.time_ns)
    pipeline = DevicePipeline(
        find_adapter("nonin"), DeviceConfig("oximeter", "nonin", url), sink, placement=Placement(), resume={}
    )
    with capture_logs() as log:
        running = asyncio.create_task(pipeline.run())

        async def objects_at(reconnects: int) -> int:
            await until(lambda: opened >= reconnects)
            log.clear()
            gc.collect()
            return len(gc.get_objects())

        before = await objects_at(SETTLED)
        left = await objects_at(SETTLED + RECONNECTS) - before
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    pipeline.end()
    server.close()
    assert records
    assert left < SPARE
