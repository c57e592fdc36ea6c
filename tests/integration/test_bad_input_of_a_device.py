"""Bytes that no decoder can read: the hub keeps them, so that somebody can find out what the device said."""

import base64
import random

import pytest

from edge.pipeline.screened import RAW_OF_LINK, Screened
from firmware_adapters.adapter import DeviceConfig
from firmware_adapters.cyton import CytonAdapter
from models.screening.placement import Placement
from protocols.link import Lane
from protocols.record import DeviceEvent
from tests.fixtures.hub import RunningHub
from tests.fixtures.web import SOURCE, deliver, now_ns

pytestmark = pytest.mark.integration


def told(garbage: bytes) -> list[DeviceEvent]:
    """What the agent makes of it, in its own words."""
    config = DeviceConfig(SOURCE.device, "cyton", "memory")
    decoder = CytonAdapter().decoder(config, {})
    at = now_ns()
    records = Screened(SOURCE.device, Placement()).step([*decoder.feed(garbage, at), *decoder.flush(at)])
    return [record for record in records if isinstance(record, DeviceEvent)]


def kept(text: str, params: dict[str, object]) -> bytes:
    if params.get("encoding") == "base64":
        return base64.b64decode(text + str(params["rest"]))
    return bytes.fromhex(text)


@pytest.mark.parametrize("size", [3, 64, 65, 1024, 1025, 4000])
async def test_the_hub_has_up_to_1024_bytes_of_a_fault_and_how_many_there_were(
    hub: RunningHub, size: int, seed: random.Random
):
    garbage = bytes(seed.choices([b for b in range(256) if b != 0xA0], k=size))  # A0 begins a packet
    [event] = told(garbage)
    await deliver(hub, await hub.peer(), Lane.EVENT, event)
    [(code, text, params)] = hub.rows("select code, text, params from device_event")
    assert code == "WDL_EVT_FAULT"
    assert params["bytes"] == size
    assert params["where"]
    assert params["expected"]
    assert kept(text, params) == garbage[:RAW_OF_LINK]
    assert RAW_OF_LINK == 1024
