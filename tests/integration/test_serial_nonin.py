"""An oximeter on a serial line: the adapter opens a pseudo-terminal at whose other end a simulated one talks in real time."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.adapter import ConfigError, DeviceConfig
from firmware_adapters.registry import families, find_adapter
from firmware_adapters.simulate.nonin import RATE_HZ, Oximeter, Reading
from firmware_adapters.simulate.pty import PtyPlayer
from protocols.errors import Fault
from protocols.nomenclature import PULSE_RATE, SPO2
from protocols.record import Gap, Observation, Record, WaveformGroup

pytestmark = pytest.mark.integration


@pytest.fixture
def box() -> Oximeter:
    return Oximeter(np.arange(5000.0), [Reading(0, 97, 72), Reading(2, 93, 74)])


@pytest.fixture
def port(box: Oximeter, tmp_path: Path) -> Iterator[Path]:
    player = PtyPlayer(box, tmp_path / "oximeter", rate_hz=RATE_HZ)
    stopped = threading.Event()
    thread = threading.Thread(target=player.run, args=(lambda: not stopped.is_set(),))
    thread.start()
    yield player.port
    stopped.set()
    thread.join()
    player.close()


async def read_for(device: DeviceConfig, seconds: float) -> list[Record | Fault]:
    adapter = find_adapter("nonin")
    adapter.check(device)
    decoder = adapter.decoder(device, {})
    out: list[Record | Fault] = []
    async with adapter.transport(device).open() as link:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                chunk = await asyncio.wait_for(link.receive(), left_s)
                out += decoder.feed(chunk.data, time.time_ns(), chunk.channel)
            except TimeoutError:
                break
    return out + decoder.flush(time.time_ns())


async def test_an_oximeter_is_read_at_its_rate_without_being_asked(port: Path, box: Oximeter) -> None:
    out = await read_for(DeviceConfig("oximeter", "nonin", str(port)), 3.5)
    groups = [r for r in out if isinstance(r, WaveformGroup)]
    received = {g.first_sample + i: v for g in groups for i, v in enumerate(g.array()[0].tolist())}
    assert 225 <= len(received) <= 300
    assert received == {n: int(box.pleth[n]) for n in range(min(received), max(received) + 1)}
    assert not [r for r in out if isinstance(r, Gap)]
    spo2 = [r.value for r in out if isinstance(r, Observation) and r.code == SPO2]
    assert {*spo2} == {97.0, 93.0}
    assert 8 <= len(spo2) <= 11  # three a second
    assert {r.value for r in out if isinstance(r, Observation) and r.code == PULSE_RATE} == {72.0, 74.0}


def test_an_option_that_the_family_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="gain"):
        find_adapter("nonin").check(DeviceConfig("oximeter", "nonin", "/dev/null", {"gain": 24}))
    assert "nonin" in families()
