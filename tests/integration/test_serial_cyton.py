"""A simulated board on a pseudo-terminal, read by the serial transport and the Cyton adapter that ship."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.adapter import ConfigError, DeviceConfig, LinkError, OptionValue
from firmware_adapters.registry import families, find_adapter
from firmware_adapters.simulate.cyton import Board
from protocols.errors import Fault
from protocols.record import Gap, Record, WaveformGroup

pytestmark = pytest.mark.integration


@pytest.fixture
def board() -> Board:
    return Board(np.arange(5000.0)[None, :])


async def read_for(device: DeviceConfig, seconds: float, *, wake: bool = True) -> list[Record | Fault]:
    adapter = find_adapter("cyton")
    decoder = adapter.decoder(device, {})
    out: list[Record | Fault] = []
    async with adapter.transport(device).open() as link:
        if wake:
            for command in adapter.wake(device):
                await link.send(command)
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                chunk = await asyncio.wait_for(link.receive(), left_s)
                out += decoder.feed(chunk.data, time.time_ns(), chunk.channel)
            except TimeoutError:
                break
    return out + decoder.flush(time.time_ns())


async def test_a_board_is_woken_and_streams_at_its_rate(port: Path, board: Board) -> None:
    device = DeviceConfig("amp", "cyton", str(port), {"channels": {"1": "II"}})
    out = await read_for(device, 1.5)
    groups = [r for r in out if isinstance(r, WaveformGroup) and r.source.path == ("ecg",)]
    received = np.concatenate([g.array()[0] for g in groups])
    assert 300 <= len(received) <= 380
    assert received.tolist() == board.counts[: len(received), 0].tolist()
    assert not [r for r in out if isinstance(r, Gap | Fault)]


async def test_a_second_program_cannot_open_the_same_port(port: Path) -> None:
    device = DeviceConfig("amp", "cyton", str(port))
    transport = find_adapter("cyton").transport(device)
    async with transport.open():
        with pytest.raises(LinkError, match="cannot be opened"):
            async with find_adapter("cyton").transport(device).open():
                pass


async def test_a_port_that_does_not_exist_is_named(tmp_path: Path) -> None:
    device = DeviceConfig("amp", "cyton", str(tmp_path / "nothing"))
    with pytest.raises(LinkError, match="nothing"):
        async with find_adapter("cyton").transport(device).open():
            pass


@pytest.mark.parametrize(
    ("options", "said"),
    [({"channels": {"9": "II"}}, "channel '9'"), ({"channels": {"1": "XX"}}, "lead 'XX'"), ({"gain": 5}, "gain = 5")],
)
def test_settings_that_cannot_work_say_which_device_and_option(options: dict[str, OptionValue], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        find_adapter("cyton").check(DeviceConfig("amp-7", "cyton", "/dev/null", options))
    assert "amp-7" in str(error.value)


def test_an_unknown_family_names_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=", ".join(families())):
        find_adapter("no-such-device")
