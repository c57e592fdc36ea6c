"""Both serial families over a real terminal, played by simulators that are processes of their own: unplugged, noise, hands off.

Neither device has a clock: their times are the gateway's, and there is none to be wrong.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.adapter import DeviceConfig
from protocols.ecgfile.wfdb import read_record
from protocols.nomenclature import EVT_CONNECTED, EVT_DISCONNECTED, EVT_FAULT, PLETH, SATURATED, SPO2
from protocols.record import Presence, Quality
from tests.fixtures.bedside import Bedside, bedside
from tests.fixtures.waiting import PATIENCE_S, until

pytestmark = pytest.mark.integration

RECORD = Path(__file__).parents[1] / "captures" / "cinc2015-f545l-vf"
AMPLIFIER = ("cyton", "firmware_adapters.simulate", "ecg")
OXIMETER = ("nonin", "firmware_adapters.simulate.nonin", "pleth")
BOTH = pytest.mark.parametrize(("family", "module", "wave"), [AMPLIFIER, OXIMETER], ids=["amplifier", "oximeter"])
RECONNECTS_WITHIN_S = 40  # pauses grow to 8 s


@asynccontextmanager
async def simulated(module: str, port: Path) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, RECORD, port, stdin=PIPE)
    try:
        await until(port.is_symlink)
        yield process
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def playing(family: str, module: str, port: Path) -> AsyncGenerator[tuple[Bedside, Callable[[str], None]]]:
    options = {"channels": {"1": "II"}} if family == "cyton" else {}
    async with simulated(module, port) as process, bedside(DeviceConfig("box-1", family, str(port), options)) as bed:
        assert process.stdin is not None
        lines = process.stdin
        yield bed, lambda line: lines.write(f"{line}\n".encode())


@pytest.mark.req("IOT-8.2a", surface="protocol")
@BOTH
async def test_a_device_that_is_unplugged_comes_back_with_its_signal(
    short_folder: Callable[[], Path], family: str, module: str, wave: str
):
    port = short_folder() / "tty"
    async with playing(family, module, port) as (bed, say):
        await bed.until(lambda: len(bed.waves(wave)) > 2)
        say("drop-link 3")
        await bed.until(lambda: bool(bed.events(EVT_DISCONNECTED)))
        before = len(bed.waves(wave))
        await bed.until(lambda: len(bed.waves(wave)) > before + 4, RECONNECTS_WITHIN_S)
    assert len(bed.events(EVT_CONNECTED)) == 2
    assert bed.gaps(), "what was lost while it was away is told"
    seen = 0
    for group in bed.waves(wave):
        assert group.first_sample >= seen, "a sample came twice"
        seen = group.end_sample


@BOTH
async def test_noise_on_the_line_is_told_with_its_bytes_and_the_signal_goes_on(
    short_folder: Callable[[], Path], family: str, module: str, wave: str
):
    port = short_folder() / "tty"
    async with playing(family, module, port) as (bed, say):
        await bed.until(lambda: len(bed.waves(wave)) > 2)
        say("garbage 60")  # until four were told: how much noise a second has is what turns the simulator gets
        await bed.until(lambda: len(bed.events(EVT_FAULT)) > 3, PATIENCE_S)
        say("garbage 0")
        before = len(bed.waves(wave))
        await bed.until(lambda: len(bed.waves(wave)) > before + 8)
        assert not bed.events(EVT_DISCONNECTED)
    assert all(event.text for event in bed.events(EVT_FAULT))  # the bytes, in hexadecimal


async def test_an_electrode_that_comes_off_rails_and_is_told_until_it_is_on_again(short_folder: Callable[[], Path]):
    async with playing(*AMPLIFIER[:2], short_folder() / "tty") as (bed, say):
        await bed.until(lambda: len(bed.waves("ecg")) > 2)
        say("pull-lead 6")
        await bed.until(lambda: bool(bed.alarms(SATURATED)))
        await bed.until(lambda: bed.alarms(SATURATED)[-1].presence is Presence.ENDED)
        after = len(bed.waves("ecg"))
        await bed.until(lambda: len(bed.waves("ecg")) > after + 4)
    assert bed.alarms(SATURATED)[0].presence is Presence.PRESENT
    # what is played is the recording again, not a rest of the rail
    measured = bed.waves("ecg")[-1].physical()[0]
    assert np.ptp(measured) < 20_000


async def test_an_oximeter_without_a_finger_shows_no_saturation(short_folder: Callable[[], Path]):
    async with playing(*OXIMETER[:2], short_folder() / "tty") as (bed, say):
        await bed.until(lambda: bool(bed.readings(SPO2)))
        say("pull-lead 12")
        await bed.until(lambda: any(Quality.LEAD_OFF in g.quality for g in bed.waves("pleth")))
    assert {g.leads for g in bed.waves("pleth")} == {(PLETH,)}


async def test_the_amplifier_plays_the_recording(short_folder: Callable[[], Path]):
    async with playing(*AMPLIFIER[:2], short_folder() / "tty") as (bed, _):
        await bed.until(lambda: sum(g.n for g in bed.waves("ecg")) > 500)
    played = np.concatenate([g.physical()[0] for g in bed.waves("ecg")])
    recorded = read_record(RECORD).physical()[0][: len(played)] * 1000
    assert np.abs(played - recorded).max() < 0.02  # one count of the amplifier is 0.0224 microvolt
