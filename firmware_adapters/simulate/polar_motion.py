"""The accelerometer of a simulated strap: what a sensor at rest on a chest feels is gravity, so it tells how its wearer lies.

From mechanics alone: the direction that is up as the body turns, breathing, and noise. The strap sits so that its axes X, Y and Z point to
the wearer's left, head and front. Where a real one's point is known from a picture of its maker's only.
"""

from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FRAME_SAMPLES = 36  # three numbers of 16 bits each: what fits in a notification at an MTU of 232
TURN_S = 2.5  # from one side to the other

# Which way is up, along the body's left, head and front. Nobody lies as straight as a ruler.
POSTURES: "Mapping[str, tuple[float, float, float]]" = MappingProxyType(
    {
        "supine": (0.04, 0.14, 0.99),
        "left": (-0.97, 0.10, 0.20),  # on the left side: the right one is up
        "upright": (0.05, 0.96, 0.28),
    }
)
# A few minutes of a patient: seconds into the recording, and how they lie from then on.
TURNS = ((0.0, "supine"), (40.0, "left"), (85.0, "upright"), (130.0, "supine"))

_BREATHS_PER_S, _BREATH_G = 0.25, 0.015
_NOISE_G = 0.004
_NOISE = np.random.default_rng(7).normal(0, _NOISE_G, (1009, 3))
_MG_PER_G = 1000.0

OK, NOT_SUPPORTED, PARAMETER, ALREADY, RESOLUTION, RATE, RANGE = 0, 3, 5, 6, 7, 8, 9  # answers of the control point
_RATES_HZ, _BITS, _RANGES_G = (25, 50, 100, 200), 16, (2, 4, 8)


def up_at(at_s: "NDArray[np.float64]", turns: "Sequence[tuple[float, str]]") -> "NDArray[np.float64]":
    """Which way is up at these seconds, shape (n, 3), length 1."""
    names = [name for _, name in turns]
    up = np.repeat([_unit(names[0])], len(at_s), axis=0)
    for (before, after), (begin_s, _) in zip(pairwise(names), turns[1:], strict=True):
        done = np.clip((at_s - begin_s) / TURN_S, 0.0, 1.0)
        done = done * done * (3 - 2 * done)  # nobody begins or ends a turn with a jerk
        a, b = _unit(before), _unit(after)
        angle = np.arccos(np.clip(a @ b, -1, 1))
        shares = np.sin(np.outer(1 - done, angle)), np.sin(np.outer(done, angle))
        path = (shares[0] * a + shares[1] * b) / np.sin(angle) if angle else np.repeat([a], len(at_s), axis=0)
        up = np.where((at_s >= begin_s)[:, None], path, up)
    return up


def felt_mg(numbers: "NDArray[np.int64]", at_s: "NDArray[np.float64]", turns: "Sequence[tuple[float, str]]") -> "NDArray[np.int64]":  # fmt: skip
    """What the axes X, Y and Z show in thousandths of g, shape (n, 3); `numbers` of the samples decide the noise."""
    felt = up_at(at_s, turns) + _NOISE[numbers % len(_NOISE)]
    felt[:, 2] += _BREATH_G * np.sin(2 * np.pi * _BREATHS_PER_S * at_s)
    return np.rint(felt * _MG_PER_G).astype(np.int64)


def _unit(posture: str) -> "NDArray[np.float64]":
    up = np.array(POSTURES[posture])
    return up / np.linalg.norm(up)


class Accelerometer:
    """Counts its samples by the strap's ECG: `ecg_hz` of these a second, one crystal for both."""

    def __init__(self, turns: "Sequence[tuple[float, str]]", ecg_hz: int) -> None:
        """Measures nothing until it is started."""
        self._turns, self._ecg_hz = turns, ecg_hz
        self._hz = self._range_g = self._next = 0

    @property
    def offered(self) -> bytes:
        """Rate, resolution and range that can be chosen."""
        rates = b"".join(rate.to_bytes(2, "little") for rate in _RATES_HZ)
        ranges = b"".join(g.to_bytes(2, "little") for g in _RANGES_G)
        return bytes([0, len(_RATES_HZ)]) + rates + bytes([1, 1, _BITS, 0, 2, len(_RANGES_G)]) + ranges

    def start(self, wanted: bytes, ecg_sample: int) -> int:
        """Start with settings as id, count 1 and two bytes each; a strap wants all three. The answer's status."""
        said = {wanted[i]: int.from_bytes(wanted[i + 2 : i + 4], "little") for i in range(0, len(wanted), 4)}
        if len(wanted) != 12 or sorted(said) != [0, 1, 2] or any(wanted[i + 1] != 1 for i in (0, 4, 8)):
            return PARAMETER
        if said[1] != _BITS:
            return RESOLUTION
        if said[0] not in _RATES_HZ:
            return RATE
        if said[2] not in _RANGES_G:
            return RANGE
        if self._hz:
            return ALREADY
        self._hz, self._range_g = said[0], said[2]
        self._next = self._measured(ecg_sample)
        return OK

    def stop(self) -> None:
        """Measure nothing any more."""
        self._hz = 0

    def _measured(self, ecg_sample: int) -> int:
        return ecg_sample * self._hz // self._ecg_hz

    def pass_over(self, ecg_sample: int) -> None:
        """What was measured until then went nowhere."""
        self._next = self._measured(ecg_sample)

    def frames(self, ecg_sample: int, cycle: int) -> "list[tuple[float, bytes]]":
        """The frames that are whole by ECG sample `ecg_sample`: when the last of each was measured, counted like it, and their content.

        The recording begins again every `cycle` samples.
        """
        out: list[tuple[float, bytes]] = []
        while self._hz and self._next + FRAME_SAMPLES <= self._measured(ecg_sample):
            numbers = np.arange(self._next, self._next + FRAME_SAMPLES)
            ends = (numbers + 1) * self._ecg_hz / self._hz
            most = self._range_g * round(_MG_PER_G)
            values = felt_mg(numbers, ends % cycle / self._ecg_hz, self._turns).clip(-most, most)
            out.append((float(ends[-1]), values.astype("<i2").tobytes()))
            self._next += FRAME_SAMPLES
        return out
