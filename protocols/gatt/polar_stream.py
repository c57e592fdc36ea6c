"""One measurement of a Polar device as a numbered stream: frames in, waveform groups out, every lost notification as one Gap.

A frame carries the device's time of its last sample and no number, so samples are counted by that clock: between two frames lie
as many sample periods as the device's clock says. A clock that was set or began anew is told, and the hole sized by arrival.
"""

from dataclasses import dataclass

import numpy as np

from protocols.errors import DecodeError
from protocols.gatt.polar_pmd import Frame
from protocols.nomenclature import AGENT_RESTART, DEVICE_RESTART, EVT_CLOCK_STEP, LINK_LOSS
from protocols.record import NS_PER_S, DeviceEvent, Gap, Record, Scale, SourcePath, Times, WaveformGroup

STEP_NS = 10 * NS_PER_S  # arrivals may be late by a stalled link; beyond this the clock itself has stepped
STEP_SHARE = 1e-3  # of the time passed: how far two crystals may drift apart
_MEASURED_AFTER_NS = 5 * NS_PER_S  # a run of frames this long tells the device's true rate
_MAX_RATE_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Running number behind the last sample that is stored, and its corrected time."""

    end_sample: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """The last sample of a frame."""

    end_sample: int
    device_ns: int
    gateway_ns: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What the samples are; a scale for each lead."""

    leads: tuple[str, ...]
    fs_hz: float
    scales: tuple[Scale, ...]


class PolarStream:
    """Numbers the frames of one measurement of one device."""

    def __init__(self, source: SourcePath, shape: Shape, resume: ResumePoint | None = None) -> None:
        """Numbers begin at 0, or behind `resume`."""
        self._source, self._shape = source, shape
        self._period_ns = NS_PER_S / shape.fs_hz
        self._resume = resume
        self._last: _Mark | None = None
        self._run: _Mark | None = None  # the first frame since the device's clock or the stream was interrupted
        self._interrupted = False
        self.factor = 1.0

    def interrupted(self) -> None:
        """The link closed or fell silent: the next frame need not follow the last one."""
        self._interrupted = True

    def take(self, frame: Frame, at: int) -> list[Record]:
        """A frame that arrived at gateway time `at` (ns); DecodeError for one that came twice."""
        n = len(frame.samples)
        out: list[Record] = []
        first = self._number(frame.last_ns, n, at, out)
        mark = _Mark(first + n, frame.last_ns, at)
        if out or self._run is None:
            self._run = mark
        self._last, self._interrupted = mark, False
        before_ns = round((n - 1) * self._period_ns)
        # All samples arrive together: the first one was measured so much earlier, on either clock.
        times = Times(at - before_ns, frame.last_ns - before_ns)
        scales = self._shape.scales
        if frame.in_factor_units:
            scales = tuple(Scale(s.gain * self.factor, s.offset, s.unit) for s in scales)
        samples = np.ascontiguousarray(frame.samples.T, "<i4").tobytes()
        leads, fs_hz = self._shape.leads, self._shape.fs_hz
        out.append(WaveformGroup(self._source, leads, fs_hz, first, samples, "<i4", scales, times))
        return out

    def _number(self, device_ns: int, n: int, at: int, out: list[Record]) -> int:
        """The number of the frame's first sample; a hole before it becomes one Gap."""
        last = self._last
        if last is None:
            return self._after_restart_of_the_agent(n, at, out)
        passed_ns, waited_ns = device_ns - last.device_ns, at - last.gateway_ns
        if not passed_ns:
            raise DecodeError("PMD data, time at byte 1", "a later one than in the frame before", "the same")
        stepped = passed_ns < 0 or abs(passed_ns - waited_ns) > STEP_NS + STEP_SHARE * waited_ns
        reason = LINK_LOSS
        if not stepped:
            missing = round(passed_ns / self._measured_period_ns()) - n
        else:
            shift_ns = passed_ns - waited_ns
            params = (("shift_ns", shift_ns), ("device_ns", device_ns))
            out.append(DeviceEvent(self._source, EVT_CLOCK_STEP, Times(at, device_ns), params))
            missing = round(waited_ns / self._period_ns) - n
            if self._interrupted:
                reason = DEVICE_RESTART
            elif missing < n / 2:  # frames are lost whole: less is the jitter of arrivals
                missing = 0
        return self._behind(last, max(0, missing), n, at, reason, out)

    def _after_restart_of_the_agent(self, n: int, at: int, out: list[Record]) -> int:
        if self._resume is None:
            return 0
        end_sample, end_ns = self._resume.end_sample, self._resume.end_ns
        missing = max(0, round((at - end_ns) / self._period_ns) - n)
        return self._behind(_Mark(end_sample, 0, end_ns), missing, n, at, AGENT_RESTART, out)

    def _behind(self, last: _Mark, missing: int, n: int, at: int, reason: str, out: list[Record]) -> int:
        first = last.end_sample + missing
        if missing:
            to_ns = max(last.gateway_ns, at - round(n * self._period_ns))
            numbers = {"from_sample": last.end_sample, "to_sample": first}
            out.append(Gap(self._source, last.gateway_ns, to_ns, reason, False, Times(at), **numbers))
        return first

    def _measured_period_ns(self) -> float:
        """The sample period by the device's own clock; the nominal one until a run of frames is long enough."""
        if self._run is None or self._last is None:
            return self._period_ns
        ran_ns = self._last.device_ns - self._run.device_ns
        if ran_ns < _MEASURED_AFTER_NS:
            return self._period_ns
        measured = ran_ns / (self._last.end_sample - self._run.end_sample)
        return measured if abs(measured / self._period_ns - 1) < _MAX_RATE_ERROR else self._period_ns
