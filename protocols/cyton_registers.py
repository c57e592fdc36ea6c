"""What a Cyton board answers to `?`: the registers of its amplifier, one a line, ended by `$$$`; it answers only while it does not stream.

A line is a name, the address and the value in hexadecimal, and its eight bits, as `CH1SET, 05, 68, 0, 1, 1, 0, 1, 0, 0, 0`. The bits of
CHnSET follow the data sheet of the ADS1299 (9.6.1.6): bit 7 powers the channel down, bits 6 to 4 are the gain's code.
"""

import re
from dataclasses import dataclass

from protocols.cyton import GAINS

TEXT_END = b"$$$"
_POWER_DOWN, _GAIN_SHIFT, _GAIN_MASK = 0x80, 4, 0x07
_CHANNEL_REGISTER = re.compile(rb"CH([1-8])SET, *([0-9A-F]{2}), *([0-9A-F]{2})(?=,)")
_FIRST_ADDRESS = 0x05


@dataclass(frozen=True, slots=True)
class ChannelRegister:
    """What holds for a channel. `gain`: None for the code that is reserved."""

    is_on: bool
    gain: int | None


def channel_registers(text: bytes) -> dict[int, ChannelRegister]:
    """The channels (1 to 8) that an answer tells of; none in what is no answer. A line whose name and address disagree is passed over."""
    found: dict[int, ChannelRegister] = {}
    for name, address, value in _CHANNEL_REGISTER.findall(text):
        channel, bits = int(name), int(value, 16)
        if int(address, 16) == _FIRST_ADDRESS + channel - 1:
            code = bits >> _GAIN_SHIFT & _GAIN_MASK
            gain = GAINS[code] if code < len(GAINS) else None
            found[channel] = ChannelRegister(not bits & _POWER_DOWN, gain)
    return found
