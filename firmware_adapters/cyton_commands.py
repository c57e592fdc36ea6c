"""Commands of the Cyton board: switch an amplifier channel on or off, and reset the board.

The board says what holds only while it does not stream (`?`), so both stop it for a moment. What would change the meaning of the
samples (gain, input) is no command but a setting: the decoder has to know it.
"""

from collections.abc import Mapping, Sequence

from firmware_adapters.adapter import DeviceConfig
from firmware_adapters.commanding import Exchange, Pause, Send, Step, compared
from protocols import cyton
from protocols.cyton_registers import TEXT_END, channel_registers
from protocols.device_command import Command, Kind, Outcome, Parameter, Reason, RefusedError, Result, Value

CHANNEL_POWER, RESET = "channel-power", "reset"
COMMANDS = (
    Command(
        CHANNEL_POWER,
        (Parameter("channel", Kind.INTEGER, low=1, high=cyton.CHANNELS), Parameter("on", Kind.BOOLEAN)),
        interrupts=True,
    ),
    Command(RESET, reads_back=False, interrupts=True),
)
_BETWEEN_S = 0.02  # the first firmware loses characters that come within 10 ms of each other
_SETTLE_S = 0.05  # packets that are on their way when the board is stopped
_PATIENCE_S = 3.0
_LONGEST_TEXT = 8192  # an answer has some 1.5 KB


def begun(
    config: DeviceConfig, code: str, values: Mapping[str, Value], leads: Mapping[int, str], wake: Sequence[bytes]
) -> Exchange:
    """A command that fits; `leads`: which channels carry one. RefusedError for a channel that is needed."""
    if code == RESET:
        return Reset(wake)
    channel, on = int(values["channel"]), values["on"] is True
    if not on and channel in leads:
        raise RefusedError(
            Reason.NOT_NOW,
            f"channel {channel} of {config.device} carries lead {leads[channel]}: take it out of the settings first",
        )
    return ChannelPower(channel, wake, on=on)


class _Stopped:
    """An exchange with a board that is stopped and asked for text, and streams again afterwards."""

    def __init__(self, wake: Sequence[bytes]) -> None:
        """`wake`: what sets the board up and makes it stream."""
        self._wake = wake
        self.patience_s = _PATIENCE_S
        self.result: Result | None = None
        self._text = bytearray()

    def end(self) -> Sequence[Step]:
        """Set up as after a start: it may have been reset, or never been set up, and has to stream."""
        return tuple(Send(command) for command in self._wake)

    def _answer(self, data: bytes) -> bytes | None:
        """The text up to its end, once it is there; packets that came before it are in it."""
        self._text += data
        del self._text[:-_LONGEST_TEXT]
        end = self._text.rfind(TEXT_END)
        return None if end < 0 else bytes(self._text[:end])


class ChannelPower(_Stopped):
    """Switches a channel, and reads its register."""

    def __init__(self, channel: int, wake: Sequence[bytes], *, on: bool) -> None:
        super().__init__(wake)
        self._channel, self._on = channel, on

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """Stop, switch, ask."""
        switch = () if only_read else (Send(cyton.channel_switch(self._channel, on=self._on)), Pause(_BETWEEN_S))
        return (Send(cyton.COMMAND_STOP), Pause(_SETTLE_S), *switch, Send(cyton.COMMAND_REGISTERS))

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """Look for the registers."""
        del channel
        text = self._answer(data)
        register = None if text is None else channel_registers(text).get(self._channel)
        if register is not None:
            seen: dict[str, Value] = {"channel": self._channel, "on": register.is_on}
            if register.gain is not None:
                seen["gain"] = register.gain
            self.result = compared({"channel": self._channel, "on": self._on}, seen)
        return ()


class Reset(_Stopped):
    """Resets the board, which says what it is, and sets it up anew as after a start."""

    def begin(self, *, only_read: bool) -> Sequence[Step]:
        """Nothing tells afterwards whether a board was reset."""
        if only_read:
            self.result = Result(Outcome.UNCONFIRMED, Reason.INTERRUPTED)
            return ()
        return (Send(cyton.COMMAND_STOP), Pause(_SETTLE_S), Send(cyton.COMMAND_RESET))

    def feed(self, data: bytes, channel: str) -> Sequence[Step]:
        """Look for the banner: only a reset brings it."""
        del channel
        text = self._answer(data)
        if text is not None and b"OpenBCI" in text:
            _, _, version = text.rpartition(b"Firmware:")
            seen: dict[str, Value] = (
                {"firmware": version.strip().decode("ascii", "replace")[:32]} if version.strip() else {}
            )
            self.result = Result(Outcome.CONFIRMED, seen=seen)
        return ()
