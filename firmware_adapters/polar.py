"""Polar H10 chest strap over Bluetooth LE: ECG at 130 Hz by the maker's service, heart rate and RR intervals by the standard one.

The decoder is `protocols.gatt.polar`; this file knows which characteristics are read and subscribed, and how the settings name the lead.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters.adapter import API_VERSION, ConfigError, Decoder, DeviceConfig, Family, Resume, Transport
from firmware_adapters.transport.ble import BleTransport, GattPlan, target
from protocols import nomenclature
from protocols.body_axes import body_axes
from protocols.gatt import battery, heart_rate, polar, polar_pmd
from protocols.gatt.device import ABOUT
from protocols.gatt.polar_stream import ResumePoint
from protocols.record import NS_PER_S, SourcePath

# A frame comes every 0.56 s. BlueZ gives up a link without a word after 6 s at most; ours should be found sooner.
STALE_S = 5.0


class PolarAdapter:
    """Options: `lead` (I unless set: a strap lies across the chest), `acceleration_hz` (0 unless set; 25, 50, 100 or 200) and `axes`.

    `axes`, as x = "left", y = "head", z = "front", says where the sensor's axes point on the patient: docs/how-to/bluetooth-door.md.
    """

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
            (
                "acceleration starts only when rate, resolution and range are all given",
                "the maker in its SDK's issue 124",
            ),
            ("where its axes point is shown in a picture only: the installation tries it out", "SDK's issues 167, 223"),
        ),
    )

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError naming the option that cannot be used."""
        target(config.device, config.url)
        self._options(config)

    def transport(self, config: DeviceConfig) -> Transport:
        """Bluetooth LE with the strap's characteristics."""
        plan = GattPlan(
            read=ABOUT,
            notify=(polar_pmd.CONTROL_POINT, polar_pmd.DATA, heart_rate.MEASUREMENT),
            optional_notify=(battery.LEVEL,),
            commands=polar_pmd.CONTROL_POINT,
            start=tuple(self.wake(config)),
            watched=(polar_pmd.DATA,),
            watched_begin=bytes([polar_pmd.Measurement.ECG]),
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
            lead = nomenclature.lead(str(config.options.get("lead", "I")))
        except ValueError as error:
            msg = f"device {config.device}: option lead: {error}"
            raise ConfigError(msg) from error
        said = config.options.get("axes")
        if said is None:
            return polar.StrapOptions(lead, rate)
        try:
            axes = body_axes(said if isinstance(said, Mapping) else {})
        except ValueError as error:
            msg = f"device {config.device}: option axes: {error}"
            raise ConfigError(msg) from error
        return polar.StrapOptions(lead, rate, axes)
