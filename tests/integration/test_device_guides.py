"""The examples of docs/how-to/serial-door.md and bluetooth-door.md, run as they stand there but for ports and addresses."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.identity import save_identity
from protocols.nomenclature import (
    ACCELERATION_FRONT,
    ACCELERATION_HEAD,
    ACCELERATION_LEFT,
    EVT_CONNECTED,
    HEART_RATE,
    PLETH,
    PULSE_RATE,
    SPO2,
    lead,
)
from protocols.record import DeviceEvent, Observation, WaveformGroup
from tests.fixtures.agent import Gateway
from tests.fixtures.hub_peer import Authority, Store, hub_peer, write_config
from tests.fixtures.ward_gateway import DoorGateway, until
from tests.integration.test_door_guides import blocks
from wardlink.local.parts import find_or_unpack
from wardlink.local.places import Places

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def running(command: str, **environment: str) -> AsyncGenerator[None]:
    """The programs of an example, from the root of the checkout, until the end."""
    shell = await asyncio.create_subprocess_exec(
        "sh", "-euc", f"{command}\nwait", cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        await shell.wait()


@asynccontextmanager
async def gateway(folder: Path, settings: str) -> AsyncGenerator[DoorGateway]:
    """A gateway with the settings of an example; its log is printed when the test fails."""
    store, authority = Store(), Authority()
    async with hub_peer(store, authority) as hub:
        save_identity(folder / "state", authority.identity(f"127.0.0.1:{hub.port}"))
        agent = Gateway(write_config(folder, settings))
        await agent.start()
        try:
            yield DoorGateway(folder, agent, store, hub)
        except BaseException:
            print(*agent.log, sep="\n")
            raise
        finally:
            await agent.kill()


def of_this_python(command: str) -> str:
    return command.replace("python -m", f"{sys.executable} -m")


async def test_the_serial_guide_from_the_ports_to_the_stored_signals(tmp_path: Path):
    (settings,) = blocks("serial-door.md", "toml")
    (play,) = blocks("serial-door.md", "sh")
    amplifier, oximeter = tmp_path / "amplifier", tmp_path / "oximeter"
    play = of_this_python(play).replace(" amplifier", f" {amplifier}").replace(" oximeter", f" {oximeter}")
    for port, there in (
        ("usb-FTDI_FT231X_USB_UART_D0123456", amplifier),
        ("usb-Nonin_Medical_Xpod_501234567", oximeter),
    ):
        settings = settings.replace(f"/dev/serial/by-id/{port}-if00-port0", str(there))
    async with running(play):
        await until(lambda: amplifier.exists() and oximeter.exists())
        async with gateway(tmp_path, settings) as at:
            await until(lambda: at.samples("amplifier-1", "ecg") >= 2 * 250)
            assert (lead("II"), lead("V1")) in {group.leads for group in at.stored("amplifier-1", WaveformGroup)}
            await until(lambda: {PLETH} <= {name for g in at.stored("oximeter-1", WaveformGroup) for name in g.leads})


async def test_the_bluetooth_guide_from_the_bus_to_the_stored_signals(
    tmp_path: Path, usual_places: Places, short_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
):
    strap, motion, others = blocks("bluetooth-door.md", "toml")
    settings = strap + motion.replace("[devices.options]\n", "") + others
    (bus,) = blocks("bluetooth-door.md", "xml")
    play, environment = blocks("bluetooth-door.md", "sh")
    socket = short_folder() / "ward.bus"
    configuration = tmp_path / "bus.conf"
    configuration.write_text(bus.replace("/tmp/ward.bus", str(socket)))
    name, _, address = environment.removeprefix("export ").strip().partition("=")
    monkeypatch.setenv(name, address.replace("/tmp/ward.bus", str(socket)))
    daemon = find_or_unpack("dbus-daemon", usual_places, lambda _line: None)
    play = of_this_python(play).replace("/tmp/ward.bus", str(socket)).replace("=bus.conf", f"={configuration}")
    path = f"{daemon.executable.parent}:{os.environ['PATH']}"
    async with running(play, PATH=path, **daemon.env):
        await until(socket.exists)
        async with gateway(tmp_path, settings) as at:
            await until(lambda: at.samples("strap-2", "ecg") >= 2 * 130)
            await until(lambda: HEART_RATE in {o.code for o in at.stored("strap-2", Observation)})
            assert EVT_CONNECTED in {event.code for event in at.stored("strap-2", DeviceEvent)}
            assert {group.leads for group in at.stored("strap-2", WaveformGroup)} >= {(lead("I"),)}
            await until(lambda: at.samples("strap-2", "accelerometer") >= 2 * 25)
            (axes,) = {group.leads for group in at.groups("strap-2", "accelerometer")}
            assert axes == (ACCELERATION_LEFT, ACCELERATION_HEAD, ACCELERATION_FRONT)
            await until(lambda: bool([o for o in at.stored("thermometer-2", Observation) if o.unit == "Cel"]))
            (first, *_) = [o for o in at.stored("thermometer-2", Observation) if o.unit == "Cel"]
            assert (first.code, first.site) == ("MDC_TEMP_BODY", "axilla")
            await until(lambda: {SPO2, PULSE_RATE} <= {o.code for o in at.stored("oximeter-2", Observation)})
