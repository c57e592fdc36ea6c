"""Takes the fields of a characteristic's value one after the other and says which one is missing when the value is too short."""

from protocols.errors import DecodeError


class Fields:
    """What is left of a value. All numbers are little-endian, as in every GATT service."""

    def __init__(self, what: str, data: bytes) -> None:
        """`what` names the characteristic in errors."""
        self._what, self._data, self._at = what, data, 0

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._at

    def take(self, n: int, field: str) -> bytes:
        """The next `n` bytes; DecodeError when there are fewer."""
        if self.left < n:
            raise DecodeError(f"{self._what}, {field} at byte {self._at}", f"{n} bytes", f"{self.left}", self._data)
        self._at += n
        return self._data[self._at - n : self._at]

    def unsigned(self, n: int, field: str) -> int:
        """An unsigned number of `n` bytes."""
        return int.from_bytes(self.take(n, field), "little")

    def end(self) -> None:
        """DecodeError when something is left: the flags then do not say what the value holds."""
        if self.left:
            raise DecodeError(
                f"{self._what} at byte {self._at}", "the end of the value", f"{self.left} bytes more", self._data
            )
