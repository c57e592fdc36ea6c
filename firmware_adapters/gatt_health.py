"""Bluetooth LE devices of the standard health services, whoever made them: those that measure on and on, and those that do now and then.

Two families, because a thermometer that says nothing is no alarm and an oximeter on a patient's finger that says nothing is one. The
decoder is `protocols.gatt.health`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware_adapters import gatt_commands
from firmware_adapters.adapter import API_VERSION, ConfigError, Decoder, DeviceConfig, Family, Resume, Transport
from firmware_adapters.commanding import Exchange
from firmware_adapters.transport.ble import BleTransport, GattPlan, target
from protocols.device_command import Command, Value
from protocols.gatt import battery, blood_pressure, health, thermometer
from protocols.gatt.device import ABOUT
from protocols.record import NS_PER_S, SourcePath

STALE_S = 10.0
_QUIRKS = (
    ("its clock tells local time and no zone: the option zone says which", "Bluetooth SIG, Date Time"),
    ("no subscription outlives a connection", "seen with BlueZ's interface"),
)
_EVIDENCE = "the services' documents and independent open implementations of them; no device was at hand"


class _Standard:
    """What both families share. Option: `zone`, as Asia/Shanghai, of the device's clock (UTC unless set)."""

    api_version = API_VERSION
    plan: GattPlan
    offers: Sequence[Command]

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError naming the option that cannot be used."""
        target(config.device, config.url)
        self._zone(config)

    def transport(self, config: DeviceConfig) -> Transport:
        """Bluetooth LE with what the device has of the services."""
        return BleTransport(config.device, config.url, self.plan)

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        """A decoder; readings have no numbers that go on."""
        del resume
        return health.health_device(config.device, self._zone(config))

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """Nothing starts them but a patient."""
        del config
        return ()

    def commands(self, config: DeviceConfig) -> Sequence[Command]:
        """Those of the services; a device that has not got one of them refuses its command."""
        del config
        return self.offers

    def command(self, config: DeviceConfig, code: str, values: Mapping[str, Value]) -> Exchange:
        """None is refused before the device is asked."""
        del config
        return gatt_commands.begun(code, values)

    @staticmethod
    def _zone(config: DeviceConfig) -> tzinfo:
        name = config.options.get("zone", "")
        try:
            return ZoneInfo(str(name)) if name else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = f"device {config.device}: option zone = {name!r}: expected a name of the time zones, as Asia/Shanghai"
            raise ConfigError(msg) from error


class SpotAdapter(_Standard):
    """Thermometers, cuffs, scales, and oximeters that are put on for a check."""

    silence_ns = 0
    offers = gatt_commands.SPOT_COMMANDS
    plan = GattPlan(
        read=(*ABOUT, thermometer.TYPE),
        notify=(),
        one_of=health.SPOT,
        optional_notify=(battery.LEVEL,),
        watched=(),
        stale_s=0,
    )
    family = Family(
        name="gatt-spot",
        door="bluetooth",
        maker="any",
        model="Health Thermometer, Blood Pressure, Pulse Oximeter (spot check), Weight Scale",
        delivers=(
            "MDC_TEMP_BODY",
            *blood_pressure.PRESSURES.values(),
            "MDC_PULS_RATE_NON_INV",
            "MDC_PULS_OXIM_SAT_O2",
            "MDC_PULS_OXIM_PULS_RATE",
            "MDC_MASS_BODY_ACTUAL",
            "battery",
        ),
        evidence=_EVIDENCE,
        quirks=_QUIRKS,
    )


class ContinuousAdapter(_Standard):
    """Oximeters and heart rate straps that stay on."""

    silence_ns = 5 * NS_PER_S
    offers = gatt_commands.CONTINUOUS_COMMANDS
    plan = GattPlan(
        read=ABOUT,
        notify=(),
        one_of=health.CONTINUOUS,
        optional_notify=(battery.LEVEL,),
        watched=health.CONTINUOUS,
        stale_s=STALE_S,
    )
    family = Family(
        name="gatt-continuous",
        door="bluetooth",
        maker="any",
        model="Pulse Oximeter (continuous), Heart Rate",
        delivers=("MDC_PULS_OXIM_SAT_O2", "MDC_PULS_OXIM_PULS_RATE", "MDC_ECG_HEART_RATE", "RR intervals", "battery"),
        evidence=_EVIDENCE,
        quirks=_QUIRKS,
    )
