"""OpenBCI Cyton (ADS1299, 8 channels, 24 bit, 250 Hz): the board's 33-byte packets and its text answers.

Follows the packet format of OpenBCI's documentation and firmware definitions (header 0xA0, footer 0xC0-0xC6). The protocol has
no checksum: start byte, footer and the 8-bit counter are all there is, so a lost lock is confirmed by two frames in a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from protocols.errors import Fault
from protocols.nomenclature import AGENT_RESTART, DEVICE_RESTART, EVT_FIRMWARE, LINK_LOSS
from protocols.record import NS_PER_S, DeviceEvent, Gap, Quality, Record, Scale, SourcePath, Times, WaveformGroup

PACKET_BYTES = 33
START = 0xA0
FS_HZ = 250.0
CHANNELS = 8
COUNTER_MODULUS = 256
GROUP_SAMPLES = 25  # 100 ms: short against what an eye or an alarm notices, long against the cost of a record
GAINS = (1, 2, 4, 6, 8, 12, 24)  # gain codes 0-6 of the `x` command

_FOOTERS = range(0xC0, 0xC7)
_ACCEL_FOOTER, _RAW_AUX_FOOTER, _USER_AUX_FOOTER = 0xC0, 0xC1, 0xC2
_STAMPED_ACCEL_FOOTERS, _STAMPED_AUX_FOOTERS = (0xC3, 0xC4), (0xC5, 0xC6)
_ACCEL_EVERY = 10  # one packet in ten carries the accelerometer (25 Hz)
_RAIL_HIGH, _RAIL_LOW = 0x7FFFFF, -0x800000
_V_REF_UV = 4.5e6
_G_PER_COUNT = 0.002 / 16
_TEXT_END = b"$$$"
_SKIP_LIMIT = 4096  # a fault is reported at the latest after so many unreadable bytes
_NS_PER_SAMPLE = NS_PER_S / FS_HZ
_DRIFT_PER_S = 2e-4  # the fastest plausible board against the gateway's clock; lets the arrival anchor follow

COMMAND_START = b"b"
COMMAND_STOP = b"s"
COMMAND_RESET = b"v"
COMMAND_REGISTERS = b"?"
COMMAND_DEFAULTS = b"d"
COMMAND_STAMPS_ON = b"<"
COMMAND_STAMPS_OFF = b">"
_CHANNEL_OFF = b"12345678"
_CHANNEL_ON = b"!@#$%^&*"


def channel_switch(channel: int, *, on: bool) -> bytes:
    """Command that switches a channel (1-8) on or off; ValueError for another number."""
    if not 1 <= channel <= CHANNELS:
        msg = f"Cyton channel {channel}: expected 1 to {CHANNELS}"
        raise ValueError(msg)
    table = _CHANNEL_ON if on else _CHANNEL_OFF
    return table[channel - 1 : channel]


def channel_settings(channel: int, *, gain: int) -> bytes:
    """The `x` command: powered, normal electrode input, bias and SRB2 joined, SRB1 apart; ValueError for a wrong gain."""
    if gain not in GAINS or not 1 <= channel <= CHANNELS:
        msg = f"Cyton channel {channel} with gain {gain}: expected channel 1 to {CHANNELS} and a gain of {GAINS}"
        raise ValueError(msg)
    return f"x{channel}0{GAINS.index(gain)}0110X".encode()


def uv_per_count(gain: int) -> float:
    """Microvolt per count at an amplifier gain: 4.5 V / gain / (2^23 - 1)."""
    return _V_REF_UV / gain / (2**23 - 1)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Running number behind the last sample that is stored, and its corrected time."""

    end_sample: int
    end_ns: int


@dataclass(slots=True)
class _Pending:
    """Consecutive samples of one source that do not make a group yet, and the number that comes next, once known.

    `lost`: why packets went missing since the last row, if they did.
    """

    first: int = 0
    gateway_ns: int = 0
    rows: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    next: int | None = None
    last_ns: int = 0
    lost: str = ""


class CytonDecoder:
    """Sans-I/O decoder of one board.

    `channel_leads`: channel (1-8) to lead (MDC code); channels without a lead are not delivered. Sample numbers are congruent
    to the board's counter modulo 256, so that numbering goes on behind a restart of the agent (`resume`).
    """

    def __init__(
        self,
        device: str,
        channel_leads: Mapping[int, str],
        *,
        gain: int = 24,
        resume: Mapping[tuple[str, ...], ResumePoint] | None = None,
    ) -> None:
        """`resume`: where the stored samples end, by the path of the source. ValueError for an impossible channel or gain, or no lead at all."""
        if not channel_leads or any(not 1 <= c <= CHANNELS for c in channel_leads):
            msg = f"Cyton {device}: channels {sorted(channel_leads)}: expected at least one of 1 to {CHANNELS}"
            raise ValueError(msg)
        if gain not in GAINS:
            msg = f"Cyton {device}: gain {gain}: expected one of {GAINS}"
            raise ValueError(msg)
        self._device = SourcePath(device)
        self._ecg = SourcePath(device, ("ecg",))
        self._accel = SourcePath(device, ("accelerometer",))
        self._aux = SourcePath(device, ("aux",))
        self._offsets = tuple(2 + 3 * (c - 1) for c in sorted(channel_leads))
        self._leads = tuple(channel_leads[c] for c in sorted(channel_leads))
        self._scales = (Scale(uv_per_count(gain), 0.0, "uV"),) * len(self._leads)
        self._buffer = bytearray()
        self._skipped = bytearray()
        self._locked = False
        self._next: int | None = None  # running number expected next
        self._anchor_ns = 0.0  # arrival less sample time, at the shortest delay seen
        self._anchor_at = 0
        self._last_board_ms: int | None = None
        self._reason = LINK_LOSS
        self._by_time = False  # the next packet's number is found by elapsed time even when the counter fits
        self._last_ns = 0
        self._accel_bytes: dict[int, int] = {}
        self._ecg_rows, self._accel_rows, self._aux_rows = _Pending(), _Pending(), _Pending()
        points = resume or {}
        if ecg := points.get(self._ecg.path):
            self._next, self._reason, self._by_time = ecg.end_sample, AGENT_RESTART, True
            self._last_ns = ecg.end_ns
            self._anchor_ns, self._anchor_at = ecg.end_ns - ecg.end_sample * _NS_PER_SAMPLE, ecg.end_ns
        for source, pending in ((self._accel, self._accel_rows), (self._aux, self._aux_rows)):
            if point := points.get(source.path):
                pending.next, pending.last_ns, pending.lost = point.end_sample, point.end_ns, AGENT_RESTART

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        """Take bytes that arrived at gateway time `at` (ns); the records are the same for any chunking."""
        del channel  # a serial line has one
        out: list[Record | Fault] = []
        buffer = self._buffer
        buffer += data
        begin = 0
        while len(buffer) - begin >= PACKET_BYTES:
            if self._is_frame(begin):
                confirmed = self._locked or self._is_confirmed(begin)
                if confirmed is None:
                    break
                if confirmed:
                    self._end_skip(out, at)
                    self._locked = True
                    self._packet(bytes(buffer[begin : begin + PACKET_BYTES]), at, out)
                    begin += PACKET_BYTES
                    continue
            self._locked = False
            self._skipped.append(buffer[begin])
            begin += 1
            self._look_for_text(out, at)
        del buffer[:begin]
        return out

    def flush(self, at: int) -> list[Record | Fault]:
        """The link closed or fell silent: give out started groups and report bytes that make no packet."""
        out: list[Record | Fault] = []
        self._skipped += self._buffer
        self._buffer.clear()
        self._look_for_text(out, at)
        self._end_skip(out, at)
        self._locked = False
        self._by_time = self._next is not None
        self._emit_all(out)
        return out

    def _is_frame(self, begin: int) -> bool:
        return self._buffer[begin] == START and self._buffer[begin + PACKET_BYTES - 1] in _FOOTERS

    def _is_confirmed(self, begin: int) -> bool | None:
        """Without a lock, a frame counts when another follows; None: not yet known."""
        following = begin + PACKET_BYTES
        if len(self._buffer) <= following:
            return None
        if self._buffer[following] != START:
            return False
        if len(self._buffer) < following + PACKET_BYTES:
            return None
        return self._is_frame(following)

    def _look_for_text(self, out: list[Record | Fault], at: int) -> None:
        """An answer of the firmware is text that ends with `$$$`; what cannot be read is reported in bounded pieces."""
        if self._skipped.endswith(_TEXT_END):
            text = self._skipped[: -len(_TEXT_END)].decode("ascii", "replace").strip()
            self._skipped.clear()
            is_banner = "OpenBCI" in text
            # what it answers to a command is no version of it
            params = () if is_banner else (("answer", True),)
            out.append(DeviceEvent(self._device, EVT_FIRMWARE, Times(at), params, text))
            if is_banner:  # the board was reset and its counter begins again
                self._reason, self._by_time, self._last_board_ms = DEVICE_RESTART, self._next is not None, None
        elif len(self._skipped) >= _SKIP_LIMIT:
            self._end_skip(out, at)

    def _end_skip(self, out: list[Record | Fault], at: int) -> None:
        if self._skipped:
            raw = bytes(self._skipped)
            self._skipped.clear()
            found = f"{len(raw)} bytes without a packet"
            out.append(Fault(str(self._device), "serial stream", "0xA0, 31 bytes, 0xC0 to 0xC6", found, raw, at))

    def _packet(self, packet: bytes, at: int, out: list[Record | Fault]) -> None:
        footer = packet[-1]
        stamped = footer in _STAMPED_ACCEL_FOOTERS or footer in _STAMPED_AUX_FOOTERS
        board_ms = int.from_bytes(packet[28:32]) if stamped else None
        n = self._number(packet[1], at, board_ms, out)
        row = tuple(int.from_bytes(packet[o : o + 3], signed=True) for o in self._offsets)
        self._append(self._ecg_rows, n, row, at)
        if (n + 1) % GROUP_SAMPLES == 0:
            self._emit(self._ecg_rows, out)
        self._read_aux(packet, footer, n, at, out)
        self._next, self._last_ns, self._last_board_ms = n + 1, at, board_ms
        self._reason, self._by_time = LINK_LOSS, False

    def _number(self, counter: int, at: int, board_ms: int | None, out: list[Record | Fault]) -> int:
        """Unwrap the counter; a hole becomes one Gap with its sample numbers."""
        if self._next is None:
            self._anchor_ns, self._anchor_at = at - counter * _NS_PER_SAMPLE, at
            return counter
        missing = (counter - self._next) % COUNTER_MODULUS
        if missing or self._by_time:
            if board_ms is not None and self._last_board_ms is not None:
                elapsed = (board_ms - self._last_board_ms) % 2**32 / 1e3 * FS_HZ - 1
            else:
                elapsed = (at - self._anchor_ns) / _NS_PER_SAMPLE - self._next
            missing += COUNTER_MODULUS * max(0, round((elapsed - missing) / COUNTER_MODULUS))
        n = self._next + missing
        if missing:
            self._emit_all(out)
            first_ns, last_ns = self._last_ns, max(at, self._last_ns)
            out.append(
                Gap(self._ecg, first_ns, last_ns, self._reason, False, Times(at), from_sample=self._next, to_sample=n)
            )
            for beside in (self._accel_rows, self._aux_rows):
                beside.lost = beside.lost or self._reason
        self._anchor_ns += _DRIFT_PER_S * (at - self._anchor_at)
        arrival = at - n * _NS_PER_SAMPLE
        self._anchor_ns = arrival if self._by_time else min(self._anchor_ns, arrival)
        self._anchor_at = at
        return n

    def _read_aux(self, packet: bytes, footer: int, n: int, at: int, out: list[Record | Fault]) -> None:
        aux = packet[26:32]
        if footer == _ACCEL_FOOTER:
            if any(aux):
                self._accel_row(n, tuple(int.from_bytes(aux[i : i + 2], signed=True) for i in (0, 2, 4)), at, out)
        elif footer in _STAMPED_ACCEL_FOOTERS:
            self._accel_bytes[aux[0]] = aux[1]
            if all(ord(c) in self._accel_bytes for c in "XxYyZz"):
                pairs = [
                    bytes([self._accel_bytes[ord(h)], self._accel_bytes[ord(low)]]) for h, low in ("Xx", "Yy", "Zz")
                ]
                self._accel_bytes.clear()
                self._accel_row(n, tuple(int.from_bytes(p, signed=True) for p in pairs), at, out)
        elif footer in (_RAW_AUX_FOOTER, _USER_AUX_FOOTER):
            row = tuple(int.from_bytes(aux[i : i + 2], signed=True) for i in (0, 2, 4))
            self._aux_append(n, row, at, out)
        else:
            self._aux_append(n, (int.from_bytes(aux[:2], signed=True), 0, 0), at, out)

    def _accel_row(self, n: int, row: tuple[int, ...], at: int, out: list[Record | Fault]) -> None:
        self._beside(self._accel_rows, self._accel, n // _ACCEL_EVERY, row, at, out)

    def _aux_append(self, n: int, row: tuple[int, ...], at: int, out: list[Record | Fault]) -> None:
        self._beside(self._aux_rows, self._aux, n, row, at, out)

    def _beside(
        self, pending: _Pending, source: SourcePath, n: int, row: tuple[int, ...], at: int, out: list[Record | Fault]
    ) -> None:
        """Take a row that came with the packets beside the ECG; what was in lost packets is a gap of its own source."""
        if pending.next is not None:
            n = max(
                n, pending.next
            )  # the board measures acceleration by a clock of its own: two may fall on one number
            if n > pending.next:
                self._emit(pending, out)
                if pending.lost:
                    numbers = {"from_sample": pending.next, "to_sample": n}
                    out.append(Gap(source, pending.last_ns, at, pending.lost, False, Times(at), **numbers))
        self._append(pending, n, row, at)
        pending.next, pending.last_ns, pending.lost = n + 1, at, ""
        if (n + 1) % GROUP_SAMPLES == 0:
            self._emit(pending, out)

    @staticmethod
    def _append(pending: _Pending, n: int, row: tuple[int, ...], at: int) -> None:
        if not pending.rows:
            pending.first, pending.gateway_ns = n, at
        pending.rows.append(row)

    def _emit_all(self, out: list[Record | Fault]) -> None:
        for pending in (self._ecg_rows, self._accel_rows, self._aux_rows):
            self._emit(pending, out)

    def _emit(self, pending: _Pending, out: list[Record | Fault]) -> None:
        if not pending.rows:
            return
        rows, pending.rows = pending.rows, []
        times = Times(pending.gateway_ns)
        if pending is self._ecg_rows:
            samples = np.array(rows, dtype="<i4").T
            railed = ((samples == _RAIL_HIGH) | (samples == _RAIL_LOW)).any(axis=1)
            quality = tuple(Quality.SATURATED if r else Quality.GOOD for r in railed) if railed.any() else ()
            group = (self._ecg, self._leads, FS_HZ, "<i4", self._scales)
        else:
            samples = np.array(rows, dtype="<i2").T
            quality = ()
            if pending is self._accel_rows:
                leads = ("WDL_ACCELERATION_X", "WDL_ACCELERATION_Y", "WDL_ACCELERATION_Z")
                group = (self._accel, leads, FS_HZ / _ACCEL_EVERY, "<i2", (Scale(_G_PER_COUNT, 0.0, "[g]"),) * 3)
            else:
                leads = ("WDL_AUX_1", "WDL_AUX_2", "WDL_AUX_3")
                group = (self._aux, leads, FS_HZ, "<i2", (Scale(1.0, 0.0, "1"),) * 3)
        source, leads, fs_hz, dtype, scales = group
        data = np.ascontiguousarray(samples).tobytes()
        out.append(WaveformGroup(source, leads, fs_hz, pending.first, data, dtype, scales, times, quality))
