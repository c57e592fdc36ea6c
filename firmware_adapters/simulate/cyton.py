"""A Cyton board as seen from the far end of its serial line: takes commands, gives packets of a recording.

Sans-I/O and without the decoder: the layout is written here again, from OpenBCI's packet format, so that an error in one of the
two shows. `firmware_adapters.simulate.pty` plays it over a pseudo-terminal.
"""

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RATE_HZ = 250
BANNER = b"OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\nLIS3DH Device ID: 0x33\nFirmware: v3.1.2\n$$$"
BYTES_PER_PACKET = 33

_CHANNEL_COUNT = 8
_RAIL = 2**23 - 1
_UV_PER_COUNT_AT_1 = 4.5e6 / _RAIL
_GAIN_BY_CODE = {"0": 1, "1": 2, "2": 4, "3": 6, "4": 8, "5": 12, "6": 24}
_POWER_BY_CODE = {"0": True, "1": False}
_DEFAULT_GAIN = 24
_UPRIGHT_1_G = 8000  # 0.000125 g a count
_FOOTER, _FIRST_STAMPED_FOOTER, _STAMPED_FOOTER = 0xC0, 0xC3, 0xC4
_ACCEL_CODES = b"XxYyZz"  # high and low byte of each axis, in the first six of ten stamped packets
_SETTING_BYTES = 9  # x CH POWER GAIN INPUT BIAS SRB2 SRB1 X
_SETTING, _START, _STOP, _RESET, _DEFAULTS = b"xbsvd"
_OFF, _ON = b"12345678", b"!@#$%^&*"
_STAMPS_ON, _STAMPS_OFF = b"<>"
_QUERY = ord("?")
# Registers of the amplifier beside those of its channels, as they are after a start; the channels' begin at 5.
_BEFORE_CHANNELS = (("ADS_ID", 0x3E), ("CONFIG1", 0x96), ("CONFIG2", 0xC0), ("CONFIG3", 0xEC), ("LOFF", 0x02))
_BEHIND_CHANNELS = (
    ("BIAS_SENSP", 0xFF), ("BIAS_SENSN", 0xFF), ("LOFF_SENSP", 0), ("LOFF_SENSN", 0), ("LOFF_FLIP", 0), ("LOFF_STATP", 0),
    ("LOFF_STATN", 0), ("GPIO", 0x0F), ("MISC1", 0), ("MISC2", 0), ("CONFIG4", 0),
)  # fmt: skip
_ACCELEROMETER = ((0x0F, 0x33), (0x20, 0x08), (0x23, 0x18), (0x2F, 0x20))  # registers of the LIS3DH that are not 0
_ANSWERS = {
    _RESET: BANNER,
    _DEFAULTS: b"updating channel settings to default$$$",
}


class Board:
    """One board with a recording on its electrodes.

    `microvolt`: shape (channels up to 8, n) at 250 Hz; channels beyond them are 0. Behind its end the board goes on with
    whatever `loop_pause_samples` says: it stays silent for so long and begins again, as if it had been out of range. It is out of
    range too in `away`: first sample and end (exclusive) of stretches. `lead_off`: an open input drifts to the rail.
    """

    def __init__(
        self,
        microvolt: "NDArray[np.float64]",
        *,
        loop_pause_samples: int | None = None,
        away: "Sequence[tuple[int, int]]" = (),
    ) -> None:
        """ValueError for another shape."""
        if microvolt.ndim != 2 or not 0 < microvolt.shape[0] <= _CHANNEL_COUNT or not microvolt.shape[1]:
            msg = f"recording of shape {microvolt.shape}: expected (1 to {_CHANNEL_COUNT}, samples)"
            raise ValueError(msg)
        self._microvolt = np.zeros((microvolt.shape[1], _CHANNEL_COUNT))
        self._microvolt[:, : microvolt.shape[0]] = np.nan_to_num(microvolt.T)
        self._counts = np.zeros(self._microvolt.shape, dtype=np.int64)
        self._used = microvolt.shape[0]
        self._loop_pause, self._away = loop_pause_samples, tuple(away)
        self._command = bytearray()
        self._powered = np.ones(_CHANNEL_COUNT, dtype=bool)
        self._gain_codes = ["6"] * _CHANNEL_COUNT
        self.resets = 0
        self.switched = 0  # how often a channel was told to be on or off
        self._set_defaults()
        self._stamps = self._stamp_is_new = False
        self.streaming = False
        self.lead_off = False
        self.sample = 0  # how many samples the board has measured since it began to stream

    @property
    def counts(self) -> "NDArray[np.int64]":
        """What the electrodes see, shape (n, 8), in counts at the gain of each channel."""
        return self._counts

    def command(self, data: bytes) -> bytes:
        """Take command bytes; give the text that the firmware answers."""
        return b"".join(self._take(byte) for byte in data)

    def _take(self, byte: int) -> bytes:
        if self._command or byte == _SETTING:
            self._command.append(byte)
            return self._setting() if len(self._command) == _SETTING_BYTES else b""
        if byte == _START:
            self.streaming = True
        elif byte == _STOP:
            self.streaming = False
        elif byte == _RESET:
            self.streaming, self.sample, self._stamps = False, 0, False
            self.resets += 1
            self._set_defaults()
        elif byte == _DEFAULTS:
            self._set_defaults()
        elif byte in _OFF or byte in _ON:
            self._powered[(_ON if byte in _ON else _OFF).index(byte)] = byte in _ON
            self.switched += 1
        elif byte == _QUERY:
            return b"" if self.streaming else self._registers()
        elif byte in (_STAMPS_ON, _STAMPS_OFF):
            self._stamps = self._stamp_is_new = byte == _STAMPS_ON
        elif byte not in _ANSWERS:
            return b"Failure: unknown command$$$"
        return _ANSWERS.get(byte, b"")

    def _setting(self) -> bytes:
        _, channel, power, gain, *_, end = self._command.decode("ascii", "replace")
        self._command.clear()
        known = channel in "12345678" and power in _POWER_BY_CODE and gain in _GAIN_BY_CODE and end == "X"
        if known:
            self._powered[int(channel) - 1] = _POWER_BY_CODE[power]
            self._gain_codes[int(channel) - 1] = gain
            self._amplify(int(channel) - 1, _GAIN_BY_CODE[gain])
        if self.streaming:
            return b""
        return b"Success: channel set$$$" if known else b"Failure: too few chars$$$"

    def _set_defaults(self) -> None:
        self._powered[:] = True
        self._gain_codes[:] = ["6"] * _CHANNEL_COUNT
        for column in range(_CHANNEL_COUNT):
            self._amplify(column, _DEFAULT_GAIN)

    def _registers(self) -> bytes:
        """Both chips, a register a line: name, address, value, bits. A channel: powered down, gain, SRB2 joined, normal input."""
        channels = [
            (f"CH{n}SET", (0 if on else 128) + 16 * int(code) + 8)
            for n, (on, code) in enumerate(zip(self._powered, self._gain_codes, strict=True), start=1)
        ]
        lines = ["", "Board ADS Registers"]
        for address, (name, value) in enumerate((*_BEFORE_CHANNELS, *channels, *_BEHIND_CHANNELS)):
            lines.append(f"{name}, {address:02X}, {value:02X}, {', '.join(f'{value:08b}')}")
        lines += ["", "LIS3DH Registers", *(f"0x{address:02X} {value:02X}" for address, value in _ACCELEROMETER)]
        return "\n".join(lines).encode() + b"\n$$$"

    def _amplify(self, column: int, gain: int) -> None:
        counts = np.rint(self._microvolt[:, column] * gain / _UV_PER_COUNT_AT_1)
        self._counts[:, column] = np.clip(counts, -(2**23), _RAIL)

    def next_packet(self) -> bytes:
        """Measure one sample; give its packet, or nothing during the pause of a loop or behind the end."""
        number, self.sample = self.sample, self.sample + 1
        length = len(self._counts)
        if self._loop_pause is None:
            if number >= length:
                return b""
            place = number
        else:
            place = number % (length + self._loop_pause)
            if place >= length:
                return b""
        if any(first <= place < end for first, end in self._away):
            return b""
        counts = self._counts[place]
        if self.lead_off:
            counts = np.where(np.arange(_CHANNEL_COUNT) < self._used, _RAIL, 0)
        body = b"".join(int(c).to_bytes(3, "big", signed=True) for c in np.where(self._powered, counts, 0))
        return bytes([0xA0, number % 256]) + body + self._aux(number)

    def _aux(self, number: int) -> bytes:
        """The last seven bytes: acceleration, and the board's time when it was asked for, with the footer that tells which."""
        axes = struct.pack(">hhh", 0, 0, _UPRIGHT_1_G)
        place = number % 10
        if not self._stamps:
            return (axes if place == 0 else bytes(6)) + bytes([_FOOTER])
        part = bytes([_ACCEL_CODES[place], axes[place]]) if place < len(_ACCEL_CODES) else bytes(2)
        footer = _FIRST_STAMPED_FOOTER if self._stamp_is_new else _STAMPED_FOOTER
        self._stamp_is_new = False
        return part + (number * 1000 // RATE_HZ).to_bytes(4, "big") + bytes([footer])
