"""The decoder of devices that keep to the standard services: thermometers, oximeters, cuffs, scales, heart rate straps, in any mixture."""

from datetime import UTC, tzinfo

from protocols.errors import Fault
from protocols.gatt import blood_pressure, heart_rate, pulse_oximeter, thermometer, weight_scale
from protocols.gatt.blood_pressure import BloodPressure
from protocols.gatt.device import GattDevice, Reader
from protocols.gatt.pulse_oximeter import PulseOximeter
from protocols.gatt.thermometer import Thermometer
from protocols.gatt.weight_scale import WeightScale
from protocols.record import Record, SourcePath

# What comes when somebody measures
SPOT = (thermometer.MEASUREMENT, pulse_oximeter.SPOT, blood_pressure.MEASUREMENT, weight_scale.MEASUREMENT)
# ... and what comes about once a second
CONTINUOUS = (pulse_oximeter.CONTINUOUS, heart_rate.MEASUREMENT)


def health_device(device: str, zone: tzinfo = UTC) -> GattDevice:
    """A decoder; `zone`: what the device's clock goes by, as no service says it."""
    probe = Thermometer(SourcePath(device, ("temperature",)), zone)
    finger = PulseOximeter(SourcePath(device, ("oximeter",)), zone)
    cuff = BloodPressure(SourcePath(device, ("cuff",)), zone)
    scale = WeightScale(SourcePath(device, ("scale",)), zone)
    heart = SourcePath(device, ("heart_rate",))

    def kind(data: bytes, _at: int) -> list[Record | Fault]:
        probe.take_type(data)
        return []

    readers: dict[str, Reader] = {
        thermometer.TYPE: kind,
        thermometer.MEASUREMENT: probe.records,
        blood_pressure.MEASUREMENT: cuff.records,
        weight_scale.MEASUREMENT: scale.records,
        pulse_oximeter.SPOT: finger.spot,
        pulse_oximeter.CONTINUOUS: finger.records,
        heart_rate.MEASUREMENT: lambda data, at: heart_rate.records(heart, data, at),
    }
    return GattDevice(device, "a device of the standard services", readers)
