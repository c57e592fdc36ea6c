"""Polar H10 chest strap over Bluetooth LE: ECG at 130 Hz by the maker's service, heart rate and RR intervals by the standard one.

The decoder is `protocols.gatt.polar`; this file knows which characteristics are read and subscribed, and how the settings name the lead.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters.adapter import API_VERSION, ConfigError, Decoder, DeviceConfig, Family, Resume, Transport
from firmware_adapters.transport.ble import BleTransport, GattPlan, target
from protocols import nomenclature
from protocols.gatt import battery, device_information, heart_rate, polar, polar_pmd
from protocols.gatt.polar_stream import ResumePoint
from protocols.record import NS_PER_S, SourcePath

# A frame comes every 0.56 s. BlueZ gives up a link without a word after 6 s at most; ours should be found sooner.
STALE_S = 5.0


class PolarAdapter:
    """Options: `lead` (I unless set: a strap lies across the chest) and `acceleration_hz` (0 unless set; 25, 50, 100 or 200)."""

    api_version = API_VERSION
    silence_ns = 2 * NS_PER_S
    family = Family(
        name="polar",
        door="bluetooth",
        maker="Polar",
        model="H10",
        delivers=(
            "ECG by one lead, 130 Hz, uV",
            "heart rate and RR intervals",
            "acceleration, 25 to 200 Hz",
            "battery",
        ),
        evidence="the maker's document of its measurement service and the test vectors of its SDK; no strap was at hand",
        quirks=(
            ("a frame has no number: lost ones are counted by the device's clock", "the maker's document"),
            (
                "the clock begins at 2019-01-01 until an app sets it; it is told as wrong and used for counting only",
                "SDK",
            ),
            ("no subscription and no measurement outlives a connection", "seen with BlueZ's interface"),
        ),
    )

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError naming the option that cannot be used."""
        target(config.device, config.url)
        self._options(config)

    def transport(self, config: DeviceConfig) -> Transport:
        """Bluetooth LE with the strap's characteristics."""
        plan = GattPlan(
            read=(*device_information.CHARACTERISTICS, battery.LEVEL),
            notify=(polar_pmd.CONTROL_POINT, polar_pmd.DATA, heart_rate.MEASUREMENT),
            optional_notify=(battery.LEVEL,),
            commands=polar_pmd.CONTROL_POINT,
            start=tuple(self.wake(config)),
            watched=(polar_pmd.DATA,),
            stale_s=STALE_S,
        )
        return BleTransport(config.device, config.url, plan)

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        """A decoder whose sample numbers go on where the stored ones end."""
        points = {
            source.path: ResumePoint(point.end_sample, point.end_ns)
            for source, point in resume.items()
            if source.device == config.device
        }
        return polar.PolarDecoder(config.device, self._options(config), points)

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """Start the measurements; a strap that measures already answers so and goes on."""
        rate = self._options(config).acceleration_hz
        return (polar.START_ECG, *((polar.start_acceleration(rate),) if rate else ()))

    @staticmethod
    def _options(config: DeviceConfig) -> polar.StrapOptions:
        rate = config.options.get("acceleration_hz", 0)
        if isinstance(rate, bool) or not isinstance(rate, int) or rate not in (0, *polar.ACCELERATION_RATES_HZ):
            msg = (
                f"device {config.device}: option acceleration_hz = {rate!r}: "
                f"expected 0 or one of {polar.ACCELERATION_RATES_HZ}"
            )
            raise ConfigError(msg)
        try:
            return polar.StrapOptions(nomenclature.lead(str(config.options.get("lead", "I"))), rate)
        except ValueError as error:
            msg = f"device {config.device}: option lead: {error}"
            raise ConfigError(msg) from error
