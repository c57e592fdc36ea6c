"""How large the spool may grow, how long it keeps what is acknowledged, and the sizes of its files."""

from dataclasses import dataclass

DAY_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. The limit counts whole preallocated segments; alarms are counted and never given up."""

    total_bytes: int = 2 << 30
    segment_bytes: int = 16 << 20
    alarm_segment_bytes: int = 1 << 20
    keep_ns: int = DAY_NS
    queue_batches: int = 256  # waveforms that wait for the disk
    queue_bytes: int = 8 << 20  # of events that wait for it, and as many of numerics

    def __post_init__(self) -> None:
        """Refuse a limit in which the open segments have no room."""
        least = 4 * self.segment_bytes + 2 * self.alarm_segment_bytes
        if self.total_bytes < least:
            msg = f"spool limit of {self.total_bytes} bytes: expected at least {least} (4 segments and 2 of alarms)"
            raise ValueError(msg)
