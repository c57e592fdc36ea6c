"""A Nonin oximeter's byte stream into packets, and packets into records with running sample numbers.

Framing of data format 7 has no start byte: a place is known by the SYNC bit of a packet's first frame, its number by the packet's
14-bit timer. What the bits of a packet mean is `protocols.nonin.packet`'s part.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from protocols.errors import Fault
from protocols.nomenclature import (
    AGENT_RESTART,
    DEVICE_RESTART,
    EVT_BATTERY_LOW,
    EVT_FIRMWARE,
    EVT_OXIMETER_STATUS,
    LINK_LOSS,
    PLETH,
    PULSE_RATE,
    SPO2,
)
from protocols.nonin.packet import (
    FRAME_BYTES,
    FRAMES,
    FS_HZ,
    PACKET_BYTES,
    RATE_SLOT,
    SATURATION_SLOT,
    SYNC,
    TIMER_MODULUS,
    TIMER_SLOT,
    Packet,
    Status,
    is_frame,
    quality_of,
)
from protocols.record import (
    NS_PER_S,
    DeviceEvent,
    Gap,
    Observation,
    Quality,
    Record,
    Scale,
    SourcePath,
    Times,
    WaveformGroup,
)

_NS_PER_PACKET = NS_PER_S * FRAMES / FS_HZ
_DRIFT_PER_S = 2e-4  # the fastest plausible oximeter against the gateway's clock; lets the arrival anchor follow
_SURPLUS_PACKETS = 15  # 5 s: a timer that is further ahead than time has passed was set anew
_BACKLOG_PACKETS = 90  # 30 s: more than this no serial line holds back over a loss of the link
_SKIP_LIMIT = 4096  # a fault is reported at the latest after so many unreadable bytes


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Running number behind the last sample that is stored, and its corrected time."""

    end_sample: int
    end_ns: int


class NoninDecoder:
    """Sans-I/O decoder of one oximeter.

    Sample numbers are congruent to the oximeter's timer (25 samples a step, modulo 409600), so that a hole has its exact size
    and numbering goes on behind a restart of the agent (`resume`). A missing reading makes no observation; the event
    `EVT_OXIMETER_STATUS` says why it is missing.
    """

    def __init__(self, device: str, *, resume: ResumePoint | None = None) -> None:
        """`device` becomes the first part of every source path; ValueError when it cannot."""
        self._device = SourcePath(device)
        self._pleth = SourcePath(device, ("pleth",))
        self._oximeter = SourcePath(device, ("oximeter",))
        self._buffer = bytearray()
        self._consumed = 0  # stream offset of the buffer's first byte
        self._arrivals: deque[tuple[int, int]] = deque()  # (stream offset behind a chunk, its arrival)
        self._skipped = bytearray()
        self._locked = False
        self._joining = True  # the link was opened in the middle of a packet: no fault
        self._next: int | None = None  # running number of the sample expected next
        self._offset = 0  # packet number less timer, a multiple of the modulus unless the oximeter restarted
        self._anchor_ns, self._anchor_at, self._last_ns = 0.0, 0, 0
        self._reason, self._after_break = LINK_LOSS, False
        self._status: Status | None = None
        self._revision: int | None = None
        self._battery_low = False
        if resume is not None:
            self._next, self._reason, self._after_break = resume.end_sample, AGENT_RESTART, True
            self._last_ns = resume.end_ns
            self._anchor_ns = resume.end_ns - resume.end_sample * NS_PER_S / FS_HZ
            self._anchor_at = resume.end_ns

    def feed(self, data: bytes, at: int, channel: str = "") -> list[Record | Fault]:
        """Take bytes that arrived at gateway time `at` (ns); the records are the same for any chunking."""
        del channel  # a serial line has one
        out: list[Record | Fault] = []
        self._buffer += data
        self._arrivals.append((self._consumed + len(self._buffer), at))
        while self._step(out, at):
            pass
        return out

    def flush(self, at: int) -> list[Record | Fault]:
        """The link closed or fell silent: give out the frames of a started packet and report bytes that make none."""
        out: list[Record | Fault] = []
        while self._buffer:
            run = self._run(0)
            if not (self._is_start(0) and self._deliver_front(run, out, at)):
                self._skip(1, out, at)
            self._locked = False
        self._end_skip(out, at)
        self._joining = True
        self._after_break = self._next is not None
        return out

    def _good(self, place: int) -> bool:
        return is_frame(self._buffer[place : place + FRAME_BYTES])

    def _is_start(self, place: int) -> bool:
        return self._good(place) and bool(self._buffer[place] & SYNC)

    def _run(self, first: int) -> int:
        """Good frames in a row from slot `first` on, up to the next SYNC or the end of a packet."""
        slot = first
        while (
            slot < FRAMES and self._good(slot * FRAME_BYTES) and (slot == 0 or not self._is_start(slot * FRAME_BYTES))
        ):
            slot += 1
        return slot - first

    def _step(self, out: list[Record | Fault], at: int) -> bool:
        """Take one packet, or the bytes that cannot be one; False: more bytes are needed."""
        if self._locked:
            return len(self._buffer) >= PACKET_BYTES and self._packet(out, at)
        if len(self._buffer) < 2 * FRAME_BYTES:
            return False
        # The format has no start byte: two good frames in a row, the first alone with SYNC, are the least that counts.
        if self._is_start(0) and self._good(FRAME_BYTES) and not self._is_start(FRAME_BYTES):
            return len(self._buffer) >= PACKET_BYTES and self._packet(out, at)
        self._skip(1, out, at)
        return True

    def _packet(self, out: list[Record | Fault], at: int) -> bool:
        """Judge the 25 slots at the buffer's begin."""
        run, starts = self._run(0), self._is_start(0)
        if run == FRAMES and starts:
            self._deliver(tuple(range(FRAMES)), out, at)
            return True
        stopped_by_sync = run < FRAMES and self._is_start(run * FRAME_BYTES)
        if run and self._locked and (stopped_by_sync or not starts):
            # Whole frames are missing and nothing shows where: these cannot be placed.
            self._end_skip(out, at)
            self._skip(run * FRAME_BYTES, out, at)
            self._end_skip(out, at)
            self._locked = stopped_by_sync
            return True
        places = [slot for slot in range(1, FRAMES) if self._is_start(slot * FRAME_BYTES)]
        if not places:
            if len(self._buffer) < PACKET_BYTES + FRAME_BYTES:
                return False
            if self._is_start(PACKET_BYTES) and self._numbered():
                self._deliver(tuple(s for s in range(FRAMES) if self._good(s * FRAME_BYTES)), out, at)
                return True
        if not (starts and self._deliver_front(run, out, at)):
            self._skip(1, out, at)
        self._locked = False
        return True

    def _numbered(self) -> bool:
        """Whether the packet at the buffer's begin has its timer, or follows one that had."""
        timer = TIMER_SLOT * FRAME_BYTES
        return (self._locked and self._next is not None) or (self._good(timer) and self._good(timer + FRAME_BYTES))

    def _deliver_front(self, run: int, out: list[Record | Fault], at: int) -> bool:
        """Give out the first `run` frames of a packet that breaks off, if it can be numbered."""
        if not run or not (run >= TIMER_SLOT + 2 or (self._locked and self._next is not None)):
            return False
        self._read(self._slots(tuple(range(run))), out, at, self._take_tail(out, at))
        self._drop(run * FRAME_BYTES)
        return True

    def _deliver(self, slots: tuple[int, ...], out: list[Record | Fault], at: int) -> None:
        """Give out an aligned packet; what was skipped before it may hold the end of the one before."""
        self._read(self._slots(slots), out, at, self._take_tail(out, at))
        for slot in sorted(set(range(FRAMES)) - set(slots)):
            place = slot * FRAME_BYTES
            self._fault(bytes(self._buffer[place : place + FRAME_BYTES]), out, at)
        self._drop(PACKET_BYTES)
        self._locked, self._joining = True, False

    def _slots(self, slots: tuple[int, ...]) -> Packet:
        frames = tuple(
            bytes(self._buffer[s * FRAME_BYTES : (s + 1) * FRAME_BYTES]) if s in slots else None for s in range(FRAMES)
        )
        return Packet(frames, tuple(self._arrival(s * FRAME_BYTES) for s in range(FRAMES)))

    def _arrival(self, place: int) -> int:
        offset = self._consumed + place
        return next((at for end, at in self._arrivals if offset < end), self._arrivals[-1][1])

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._consumed += count
        while len(self._arrivals) > 1 and self._arrivals[0][0] <= self._consumed:
            self._arrivals.popleft()

    def _skip(self, count: int, out: list[Record | Fault], at: int) -> None:
        self._skipped += self._buffer[:count]
        self._drop(count)
        if len(self._skipped) >= _SKIP_LIMIT:
            kept = self._skipped[-PACKET_BYTES:]
            del self._skipped[-PACKET_BYTES:]
            self._end_skip(out, at)
            self._skipped = kept

    def _end_skip(self, out: list[Record | Fault], at: int) -> None:
        raw = bytes(self._skipped)
        self._skipped.clear()
        self._fault(raw, out, at)

    def _fault(self, raw: bytes, out: list[Record | Fault], at: int) -> None:
        if raw:
            expected = "25 frames of 5 bytes: status 0x80 to 0xFF (SYNC in the first), pleth, number, sum"
            found = f"{len(raw)} bytes that cannot be placed"
            out.append(Fault(str(self._device), "serial stream", expected, found, raw, at))

    def _take_tail(self, out: list[Record | Fault], at: int) -> tuple[bytes, ...]:
        """Good frames that end where a SYNC follows are the last ones of the packet before; the rest is reported."""
        skipped, tail = self._skipped, deque[bytes]()
        while len(tail) < FRAMES - 1:
            frame = bytes(skipped[-FRAME_BYTES:])
            if not is_frame(frame) or frame[0] & SYNC:
                break
            tail.appendleft(frame)
            del skipped[-FRAME_BYTES:]
        if self._joining and len(skipped) < FRAME_BYTES:
            skipped.clear()  # the frame in which the link was opened
        self._end_skip(out, at)
        return tuple(tail)

    def _read(self, packet: Packet, out: list[Record | Fault], at: int, tail: tuple[bytes, ...]) -> None:
        number = self._number(packet.timer, packet.arrivals[0])
        if tail:
            frames = (*(None,) * (FRAMES - len(tail)), *tail)
            self._samples(Packet(frames, (packet.arrivals[0],) * FRAMES), number - 1, out, at)
        self._samples(packet, number, out, at)
        self._reason, self._after_break = LINK_LOSS, False
        self._last_ns = packet.arrivals[-1]
        self._report_status(packet, out)
        self._readings(packet, out)

    def _number(self, timer: int | None, at: int) -> int:
        """The packet's running number: by its timer, and by elapsed time where that cannot be."""
        if self._next is None:
            timer = timer or 0
            self._anchor_ns, self._anchor_at = at - timer * _NS_PER_PACKET, at
            return timer
        expected = -(-self._next // FRAMES)
        self._anchor_ns += _DRIFT_PER_S * (at - self._anchor_at)
        self._anchor_at = at
        missing = 0
        if timer is not None:
            missing = (timer + self._offset - expected) % TIMER_MODULUS
            elapsed = (at - self._anchor_ns) / _NS_PER_PACKET - expected
            missing += TIMER_MODULUS * max(0, round((elapsed - missing) / TIMER_MODULUS))
            if missing > elapsed + _SURPLUS_PACKETS or (self._after_break and elapsed > missing + _BACKLOG_PACKETS):
                if self._reason == LINK_LOSS:
                    self._reason = DEVICE_RESTART
                missing = max(0, round(elapsed)) if self._after_break or elapsed > 1 else 0
                self._offset = expected + missing - timer
        number = expected + missing
        arrival = at - number * _NS_PER_PACKET
        self._anchor_ns = arrival if self._after_break else min(self._anchor_ns, arrival)
        return number

    def _samples(self, packet: Packet, number: int, out: list[Record | Fault], at: int) -> None:
        """Give out each stretch of samples without a hole, and a gap before it where there is one."""
        stretch: list[int] = []
        for slot, frame in enumerate((*packet.frames, None)):
            if frame is not None and self._next is not None and number * FRAMES + slot < self._next:
                self._fault(frame, out, at)  # these numbers were given already
            elif frame is not None:
                stretch.append(slot)
            elif stretch:
                self._emit(packet, number * FRAMES, stretch, out)
                stretch = []

    def _emit(self, packet: Packet, first_of_packet: int, stretch: list[int], out: list[Record | Fault]) -> None:
        first, at = first_of_packet + stretch[0], packet.arrivals[stretch[0]]
        if self._next is not None and first > self._next:
            begin_ns, end_ns = self._last_ns, max(at, self._last_ns)
            out.append(
                Gap(
                    self._pleth,
                    begin_ns,
                    end_ns,
                    self._reason,
                    False,
                    Times(at),
                    from_sample=self._next,
                    to_sample=first,
                )
            )
        frames = [f for s in stretch if (f := packet.frames[s]) is not None]
        samples = np.array([int.from_bytes(f[1:3]) for f in frames], dtype="<i4").tobytes()
        mark = quality_of(f[0] for f in frames)
        quality = () if mark is Quality.GOOD else (mark,)
        out.append(
            WaveformGroup(
                self._pleth, (PLETH,), FS_HZ, first, samples, "<i4", (Scale(1.0, 0.0, "1"),), Times(at), quality
            )
        )
        self._next, self._last_ns = first + len(frames), packet.arrivals[stretch[-1]]

    def _report_status(self, packet: Packet, out: list[Record | Fault]) -> None:
        times, status = Times(packet.arrivals[0]), packet.status(self._status)
        if status != self._status:
            self._status = status
            out.append(DeviceEvent(self._oximeter, EVT_OXIMETER_STATUS, times, status.params()))
        if packet.revision is not None and packet.revision != self._revision:
            self._revision = packet.revision
            out.append(DeviceEvent(self._device, EVT_FIRMWARE, times, text=f"revision {packet.revision}"))
        if packet.battery_low is not None and packet.battery_low != self._battery_low:
            self._battery_low = packet.battery_low
            out.append(DeviceEvent(self._device, EVT_BATTERY_LOW, times, (("present", self._battery_low),)))

    def _readings(self, packet: Packet, out: list[Record | Fault]) -> None:
        """The four-beat averages: unlike the display values they go missing at once when the finger is out."""
        quality = quality_of(f[0] for f in packet.frames if f is not None)
        if quality is Quality.LEAD_OFF:
            return
        for code, value, unit, slot in (
            (SPO2, packet.saturation, "%", SATURATION_SLOT),
            (PULSE_RATE, packet.rate, "/min", RATE_SLOT),
        ):
            if value is not None:
                times = Times(packet.arrivals[slot])
                out.append(Observation(self._oximeter, code, float(value), unit, times, quality=quality))
