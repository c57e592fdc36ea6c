"""The decoder of devices that keep to the standard services: thermometers, pulse oximeters, heart rate straps, in any mixture."""

from datetime import UTC, tzinfo

from protocols.errors import Fault
from protocols.gatt import heart_rate, pulse_oximeter, thermometer
from protocols.gatt.device import GattDevice, Reader
from protocols.gatt.pulse_oximeter import PulseOximeter
from protocols.gatt.thermometer import Thermometer
from protocols.record import Record, SourcePath

SPOT = (thermometer.MEASUREMENT, pulse_oximeter.SPOT)  # comes when somebody measures
CONTINUOUS = (pulse_oximeter.CONTINUOUS, heart_rate.MEASUREMENT)  # comes about once a second


def health_device(device: str, zone: tzinfo = UTC) -> GattDevice:
    """A decoder; `zone`: what the device's clock goes by, as no service says it."""
    probe = Thermometer(SourcePath(device, ("temperature",)), zone)
    finger = PulseOximeter(SourcePath(device, ("oximeter",)), zone)
    heart = SourcePath(device, ("heart_rate",))

    def kind(data: bytes, _at: int) -> list[Record | Fault]:
        probe.take_type(data)
        return []

    readers: dict[str, Reader] = {
        thermometer.TYPE: kind,
        thermometer.MEASUREMENT: probe.records,
        pulse_oximeter.SPOT: finger.spot,
        pulse_oximeter.CONTINUOUS: finger.records,
        heart_rate.MEASUREMENT: lambda data, at: heart_rate.records(heart, data, at),
    }
    return GattDevice(device, "a device of the standard services", readers)
