"""A thermometer and a heart rate strap behind a simulated BlueZ are told to do something, by the adapter, transport and pipeline that ship."""

import pytest

from firmware_adapters.simulate.bluez import Bluez
from firmware_adapters.simulate.health import CUFF, HEART_RATE, THERMOMETER, HealthDevice
from protocols.device_command import Outcome, Reason, RefusedError, Result
from tests.fixtures.bedside import bedside
from tests.integration.test_ble_health import carried, config

pytestmark = pytest.mark.integration


async def test_a_thermometer_says_itself_which_interval_it_has_taken_and_refuses_what_it_does_not_like(bluez: Bluez):
    device = HealthDevice(THERMOMETER, "A0:9E:1A:00:00:07")
    async with carried(bluez, device), bedside(config("gatt-spot")) as bed:
        await bed.until(lambda: bed.device.is_open)
        values = bed.device.fitted("measurement-interval", {"seconds": 300.0})
        told = await bed.device.perform("measurement-interval", values, only_read=False)
        assert told == Result(Outcome.CONFIRMED, seen={"seconds": 300})
        assert device.interval_s == 300

        refused = await bed.device.perform("measurement-interval", {"seconds": 4}, only_read=False)
        assert (refused.outcome, refused.reason) == (Outcome.REFUSED, Reason.DEVICE_REFUSED)
        assert device.interval_s == 300

        # After a run that was cut off nothing is written: the device is asked what holds.
        written = len(device.written)
        seen = await bed.device.perform("measurement-interval", {"seconds": 60}, only_read=True)
        assert (seen.outcome, seen.reason, seen.seen) == (Outcome.UNCONFIRMED, Reason.DIFFERS, {"seconds": 300})
        assert len(device.written) == written
        with pytest.raises(RefusedError, match="from 0 to 65535 s, found 65536"):
            bed.device.fitted("measurement-interval", {"seconds": 65536})


async def test_what_cannot_be_read_back_is_unconfirmed_and_a_device_without_it_refuses(bluez: Bluez):
    strap = HealthDevice(HEART_RATE, "A0:9E:1A:00:00:07")
    async with carried(bluez, strap), bedside(config("gatt-continuous")) as bed:
        await bed.until(lambda: bed.device.is_open)
        told = await bed.device.perform("reset-energy", bed.device.fitted("reset-energy", {}), only_read=False)
        assert (told.outcome, told.reason) == (Outcome.UNCONFIRMED, Reason.NOTHING_TO_READ)
        assert strap.energy_kj == 0
    cuff = HealthDevice(CUFF, "A0:9E:1A:00:00:07")
    async with carried(bluez, cuff), bedside(config("gatt-spot")) as bed:
        await bed.until(lambda: bed.device.is_open)
        told = await bed.device.perform("measurement-interval", {"seconds": 60}, only_read=False)
        assert (told.outcome, told.reason) == (Outcome.REFUSED, Reason.DEVICE_REFUSED)
