"""Takes the fields of codec INTERPOLATION off the front of a message; DecodeError where they are not there."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protocols.errors import DecodeError
from protocols.interpolation.prediction import HALF, MAX_REFERENCES, PAIRS, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class Reader:
    """Takes parts off the front; DecodeError where they are not there."""

    data: bytes
    at: int = 0

    @property
    def left(self) -> int:
        """Bytes that nobody took."""
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count > self.left:
            raise DecodeError(f"byte {self.at}", f"{count} bytes more", f"{self.left}", self.data)
        self.at += count
        return self.data[self.at - count : self.at]

    def nibbles(self, count: int) -> bytes:
        """So many numbers of 4 bits, low half first; what is left of the last byte is 0."""
        packed = np.frombuffer(self.take((count + 1) // 2), np.uint8)
        found = np.stack([packed & 15, packed >> 4], axis=1).tobytes()
        if any(found[count:]):
            raise DecodeError(f"byte {self.at - 1}", "zeros behind the last stream number", "others", self.data)
        return found[:count]

    def taps(self, rows: int) -> "NDArray[np.int64]":
        """Shape (rows, PAIRS)."""
        others = np.frombuffer(self.take(rows * (PAIRS - 1) * 2), "<i2").astype(np.int64).reshape(rows, PAIRS - 1)
        return np.concatenate([HALF - others.sum(axis=1, keepdims=True), others], axis=1)

    def references(self, lead: int) -> list[Reference]:
        """Of one lead."""
        count = self.take(1)[0]
        if count > MAX_REFERENCES:
            raise DecodeError(f"references of lead {lead}", f"at most {MAX_REFERENCES}", str(count), self.data)
        found: list[Reference] = [struct.unpack("<Bb", self.take(2)) for _ in range(count)]
        if any(other >= lead for other, _ in found):
            raise DecodeError(f"references of lead {lead}", "leads before it", f"{found}", self.data)
        return found
