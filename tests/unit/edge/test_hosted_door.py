"""A door in a process of its own, the real one, and what the agent answers it."""

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from edge.host.adapter import HostContext
from edge.host.door import HostedDoor
from edge.host.limits import HostLimits
from firmware_adapters.door import DoorConfig, Message, Reply, Verdict
from tests.fixtures.waiting import until

if TYPE_CHECKING:
    from protocols.record import DeviceEvent

CART = "cart-6"


async def test_a_message_whose_taking_fails_is_answered_and_comes_again(tmp_path: Path):
    folder = tmp_path / CART
    folder.mkdir()
    (folder / "rest.xml").write_bytes(b"<AnnotatedECG/>")
    tries: list[bytes] = []
    events: list[DeviceEvent] = []

    async def take(message: Message) -> Reply:
        tries.append(message.body)
        if len(tries) == 1:
            msg = "no space left on device"
            raise OSError(msg)
        if len(tries) == 2:
            raise asyncio.CancelledError  # of what it waited for, not of this
        return Reply(Verdict.ACCEPTED)

    config = DoorConfig("carts", "folder", tmp_path.as_uri(), time.time_ns, tmp_path, devices={CART: {}})
    door = HostedDoor(config, "ward3", HostContext(time.time_ns, os.environ, HostLimits(), events.append))
    with capture_logs() as logs:
        serving = asyncio.create_task(door.serve(take))
        try:
            await until(lambda: (folder / "taken").is_dir() and any((folder / "taken").iterdir()), within_s=20)
        finally:
            serving.cancel()
            await asyncio.wait((serving,))
    assert tries == [b"<AnnotatedECG/>"] * 3
    assert [one["door"] for one in logs if one["event"] == "message-not-taken"] == ["carts"]
    assert events == [], "nothing was wrong with the door"
