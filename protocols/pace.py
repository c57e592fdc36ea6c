"""How much may come in a stretch of time: a token bucket, as the doors of the gateway hold it against a device and the hub against a gateway.

Pure: who asks says what time it is. Says nothing about what becomes of what is too much.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Holds `burst_s` seconds of `rate_per_s` at most, and is full at first. Units are the caller's: messages, bytes, records."""

    rate_per_s: float
    burst_s: float
    level: float = 0.0
    at_s: float | None = None

    def take(self, amount: float, now_s: float) -> bool:
        """Take `amount` if anything is there; it may go below nothing once, so that what is larger than the bucket passes too."""
        self._fill(now_s)
        if self.level <= 0:
            return False
        self.level -= amount
        return True

    def give_back(self, amount: float) -> None:
        """What was taken was not used after all."""
        self.level += amount

    def owe(self, amount: float, now_s: float) -> float:
        """Take `amount` in any case; after how many seconds it is paid for, 0 when it was there."""
        self._fill(now_s)
        self.level -= amount
        return max(0.0, -self.level / self.rate_per_s)

    def forgive(self, longest_s: float) -> float:
        """Let off what takes longer than that to pay for; how much that was."""
        too_much = max(0.0, -self.level - self.rate_per_s * longest_s)
        self.level += too_much
        return too_much

    def _fill(self, now_s: float) -> None:
        most = self.rate_per_s * self.burst_s
        self.level = most if self.at_s is None else min(most, self.level + self.rate_per_s * (now_s - self.at_s))
        self.at_s = now_s
