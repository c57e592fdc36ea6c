"""OpenBCI Cyton on its USB radio dongle (FTDI, 115200 8N1): an 8-channel ECG amplifier.

The decoder is `protocols.cyton`; this file knows the serial line and how the settings name channels.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters import cyton_commands
from firmware_adapters.adapter import API_VERSION, ConfigError, Decoder, DeviceConfig, Family, Resume, Transport
from firmware_adapters.commanding import Exchange
from firmware_adapters.transport.serial import SerialTransport
from protocols import cyton, nomenclature
from protocols.device_command import Command, Value
from protocols.record import NS_PER_S, SourcePath

BAUD = 115200
DEFAULT_CHANNELS = {"1": "II"}


class CytonAdapter:
    """Options: `channels` (channel number to ECG lead, as {"1": "II", "2": "V1"}) and `gain` (24 unless set)."""

    api_version = API_VERSION
    silence_ns = 2 * NS_PER_S
    family = Family(
        name="cyton",
        maker="OpenBCI",
        model="Cyton, 8 channels, ADS1299",
        delivers=("ECG by channel map, 250 Hz, 24 bit", "acceleration, 25 Hz"),
        evidence="OpenBCI's documentation and firmware definitions; its printed example packet",
        quirks=(
            ("the 8-bit counter wraps once a second: longer holes are sized by elapsed time", "packet format"),
            ("the accelerometer is sent in one packet of ten, zeros in the others", "packet format"),
            ("the FTDI driver holds bytes for 16 ms unless its latency timer is lowered", "maker's documentation"),
        ),
    )

    def check(self, config: DeviceConfig) -> None:
        """Raise ConfigError naming the option that cannot be used."""
        self._channels(config)
        self._gain(config)

    def transport(self, config: DeviceConfig) -> Transport:
        """The serial line."""
        return SerialTransport(config.url, baud=BAUD)

    def decoder(self, config: DeviceConfig, resume: Mapping[SourcePath, Resume]) -> Decoder:
        """A decoder whose sample numbers go on where the stored ones end."""
        points = {
            source.path: cyton.ResumePoint(point.end_sample, point.end_ns)
            for source, point in resume.items()
            if source.device == config.device
        }
        return cyton.CytonDecoder(config.device, self._channels(config), gain=self._gain(config), resume=points)

    def wake(self, config: DeviceConfig) -> Sequence[bytes]:
        """Stop, set the gain of the mapped channels, start: a board that streams yet would say nothing of its settings."""
        gain = self._gain(config)
        settings = (cyton.channel_settings(c, gain=gain) for c in self._channels(config))
        return (cyton.COMMAND_STOP, *settings, cyton.COMMAND_START)

    def commands(self, config: DeviceConfig) -> Sequence[Command]:
        """Every board has the same."""
        del config
        return cyton_commands.COMMANDS

    def command(self, config: DeviceConfig, code: str, values: Mapping[str, Value]) -> Exchange:
        """RefusedError for a channel that carries a lead of the settings."""
        return cyton_commands.begun(config, code, values, self._channels(config), self.wake(config))

    def _channels(self, config: DeviceConfig) -> dict[int, str]:
        given = config.options.get("channels", DEFAULT_CHANNELS)
        if not isinstance(given, Mapping) or not given:
            msg = f'device {config.device}: option channels = {given!r}: expected a map such as {{"1": "II"}}'
            raise ConfigError(msg)
        try:
            return {self._channel(number): nomenclature.lead(name) for number, name in given.items()}
        except ValueError as error:
            msg = f"device {config.device}: option channels: {error}"
            raise ConfigError(msg) from error

    @staticmethod
    def _channel(number: str) -> int:
        if not number.isdecimal() or not 1 <= int(number) <= cyton.CHANNELS:
            msg = f"channel {number!r}: expected 1 to {cyton.CHANNELS}"
            raise ValueError(msg)
        return int(number)

    @staticmethod
    def _gain(config: DeviceConfig) -> int:
        gain = config.options.get("gain", 24)
        if gain is True or gain not in cyton.GAINS:
            msg = f"device {config.device}: option gain = {gain!r}: expected one of {cyton.GAINS}"
            raise ConfigError(msg)
        return gain
