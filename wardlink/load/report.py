"""What a load came to: percentiles, rates, what the hub spent, what is missing; as a table and as JSON."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardlink.load.senders import Sent


@dataclass(frozen=True, slots=True)
class Delay:
    """Milliseconds, and of how many."""

    p50: int
    p95: int
    p99: int
    n: int


def delay(counts: Mapping[int, int]) -> Delay | None:
    """Percentiles of a count by milliseconds (the least value that so many do not exceed); None of nothing."""
    total = sum(counts.values())
    if not total:
        return None

    def at(share: float) -> int:
        left = math.ceil(share * total)
        for ms in sorted(counts):
            left -= counts[ms]
            if left <= 0:
                return ms
        raise AssertionError

    return Delay(at(0.5), at(0.95), at(0.99), total)


@dataclass(frozen=True)
class Report:
    """`stored`: None where the hub's tables cannot be asked; `wrong`: sentences, empty when all is well.

    `sources`: what was sent, by device: samples, their SHA-256, readings.
    """

    gateways: int
    beds: int
    seconds: float
    acknowledged: Delay | None
    frame: Delay | None
    records_a_s: float
    bytes_a_s: float
    batches: int
    unacknowledged: int
    cpu_percent: dict[str, float] = field(default_factory=dict[str, float])
    stored: bool | None = None
    wrong: list[str] = field(default_factory=list[str])
    sources: dict[str, tuple[int, str, int]] = field(default_factory=dict[str, tuple[int, str, int]])

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.wrong

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


def report(
    gateways: int,
    sent: Iterable["Sent"],
    seconds: float,
    frames: Mapping[int, int],
    cpu_s: Mapping[str, float],
    missing: list[str] | None,
) -> Report:
    """Put together what the processes told. `missing`: what the hub's tables lack; None when they were not asked."""
    sent = list(sent)
    took: Counter[int] = Counter()
    for one in sent:
        took.update(one.acknowledged_ms)
    unacknowledged = sum(one.unacknowledged for one in sent)
    wrong = list(missing or [])
    if unacknowledged:
        wrong.insert(0, f"{unacknowledged} batches were not acknowledged")
    if not took:
        wrong.insert(0, "nothing was acknowledged")
    return Report(
        gateways,
        sum(len(one.sources) for one in sent),
        round(seconds, 1),
        delay(took),
        delay(frames),
        round(sum(one.records for one in sent) / seconds, 1),
        round(sum(one.batch_bytes for one in sent) / seconds),
        sum(one.batches for one in sent),
        unacknowledged,
        {name: round(100 * taken / seconds, 1) for name, taken in cpu_s.items()},
        None if missing is None else not missing,
        wrong,
        {device: of for one in sent for device, of in one.sources.items()},
    )


def table(found: Report) -> str:
    """For people."""
    lines = [f"{found.gateways} gateways, {found.beds} beds, {found.seconds:.0f} s", ""]
    lines.append(f"{'from the last byte, ms':<28}{'P50':>8}{'P95':>8}{'P99':>8}{'of':>12}")
    for name, of in (("to the acknowledgement", found.acknowledged), ("to the frame on a page", found.frame)):
        numbers = "not measured" if of is None else f"{of.p50:>8}{of.p95:>8}{of.p99:>8}{of.n:>12,}"
        lines.append(f"{name:<28}{numbers}")
    lines += ["", f"{found.records_a_s:,.0f} rows/s, {found.bytes_a_s:,.0f} bytes/s of batches"]
    if found.cpu_percent:
        lines.append(
            "CPU of a core: " + ", ".join(f"{name} {spent:.0f} %" for name, spent in found.cpu_percent.items())
        )
    lines.append(f"{found.unacknowledged:,} of {found.batches:,} batches not acknowledged")
    if found.stored is None:
        lines.append("whether it is stored whole was not asked: the database is not this command's")
    elif found.stored:
        lines.append(
            "stored whole: the SHA-256 of each bed's samples and the number of its readings are those that were sent"
        )
    return "\n".join([*lines, *(f"MISSING: {sentence}" for sentence in found.wrong)])
