"""Nonin OEM III, Xpod and other oximeters in serial data format 7 (9600 8N1).

The decoder is `protocols.nonin`; this file knows the serial line. The format is chosen by the module's wiring, not by a command.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters.adapter import API_VERSION, ConfigError, Decoder, DeviceConfig, Family, Resume, Transport
from firmware_adapters.transport.serial import SerialTransport
from protocols.nomenclature import PLETH, PULSE_RATE, SPO2
from protocols.nonin import decoder as nonin
from protocols.record import NS_PER_S, SourcePath

BAUD = 9600


class NoninAdapter:
    """It has no options."""

    api_version = API_VERSION
    silence_ns = 2 * NS_PER_S
    family = Family(
        name="nonin",
        maker="Nonin",
        model="OEM III, Xpod, WristOx2 (data format 7)",
        delivers=(PLETH, SPO2, PULSE_RATE),
        evidence="the description of data format 7 and its printed frame; a simulator",
        quirks=(
            (
                "no start byte and an 8-bit sum: a lock takes two good frames and the SYNC bit every 25",
                "format description",
            ),
            (
                "display values outlive the finger by 10 s: the four-beat averages are used instead",
                "format description",
            ),
        ),
    )

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError naming options that do not exist."""
        if config.options:
            msg = f"device {config.device}: options {', '.join(sorted(config.options))}: the family nonin has none"
            raise ConfigError(msg)

    def transport(self, config: DeviceConfig) -> Transport:
        """The serial line."""
        return SerialTransport(config.url, baud=BAUD)

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        """A decoder whose sample numbers go on where the stored ones end."""
        point = resume.get(SourcePath(config.device, ("pleth",)))
        return nonin.NoninDecoder(
            config.device, resume=None if point is None else nonin.ResumePoint(point.end_sample, point.end_ns)
        )

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """An oximeter streams by itself."""
        del config
        return ()
