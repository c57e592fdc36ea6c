"""How large the spool and each class of data in it may grow, how long it keeps what is acknowledged, and the sizes of its files."""

from dataclasses import dataclass

DAY_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. The limits count whole preallocated segments; alarms are counted in the total and never given up."""

    total_bytes: int = 2 << 30
    segment_bytes: int = 16 << 20
    alarm_segment_bytes: int = 1 << 20
    keep_ns: int = DAY_NS
    index_every_batches: int = 4096  # so many may be read from the segments at a start
    queue_batches: int = 256  # waveforms that wait for the disk
    queue_bytes: int = 8 << 20  # of events that wait for it, and as many of numerics
    waveform_bytes: int | None = None  # unless given, all
    record_bytes: int | None = (
        None  # of events and numerics; unless given half, so that a noisy line's faults push out no strip
    )

    def __post_init__(self) -> None:
        """Refuse a limit in which the open segments have no room."""
        for name, most in (("waveforms", self.waveform_bytes), ("events and numerics", self.record_bytes)):
            if most is not None and most < 2 * self.segment_bytes:
                msg = f"spool limit of {most} bytes of {name}: expected at least {2 * self.segment_bytes} (2 segments)"
                raise ValueError(msg)
        least = 4 * self.segment_bytes + 2 * self.alarm_segment_bytes
        if self.total_bytes < least:
            msg = f"spool limit of {self.total_bytes} bytes: expected at least {least} (4 segments and 2 of alarms)"
            raise ValueError(msg)

    @property
    def most_waveform_bytes(self) -> int:
        """What waveforms may take."""
        return self.total_bytes if self.waveform_bytes is None else self.waveform_bytes

    @property
    def most_record_bytes(self) -> int:
        """What events and numerics may take together."""
        return max(self.total_bytes // 2, 2 * self.segment_bytes) if self.record_bytes is None else self.record_bytes
