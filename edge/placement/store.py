"""The newest placement on disk, and what it means for the screening of a device. A pseudonym at most, no identity."""

import math
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError as ProtobufError

from edge.durable import Kept
from edge.health.metrics import PLACEMENT_GROUPS_REFUSED, PLACEMENT_LIMITS_REFUSED, PLACEMENT_TABLES_REFUSED
from models.screening.critical_check import Problem, table_of
from models.screening.critical_items import Table
from models.screening.critical_table import SHIPPED
from models.screening.placement import AgeGroup, Limit, Placement
from protocols.link import MAX_REFUSED_LIMITS, LimitRefusal
from protocols.nomenclature import TERMS, TermKind
from protocols.uplink_pb2 import CriticalTable, PlacedBed, PlacementApplied, RefusedLimit
from protocols.uplink_pb2 import Limit as LimitMessage
from protocols.uplink_pb2 import Placement as PlacementMessage

_SHOWN = 64  # characters of a refused word, in the log and to the hub
_PLACE = 256  # characters of a point of care

_log = structlog.get_logger()


class PlacementStore:
    """Read once at start; `is_durable` says whether what `save` took is on disk too."""

    def __init__(self, path: Path) -> None:
        self._kept = Kept(path)
        self.is_durable = True
        said = "nothing: the hub sends it again on connecting"
        found = self._kept.read(PlacementMessage.FromString, "placement-damaged", said, refused=ProtobufError)
        self.current = found or PlacementMessage()
        self.table, self._refused = SHIPPED, tuple[Problem, ...]()
        self._take_table(self.current)

    async def save(self, placement: PlacementMessage, *, first: bool) -> bool:
        """Go by a placement, and keep it; whether it was taken. `first` of its connection is the truth, a later one has to be newer.

        A hub that was restored from a backup counts its versions from there: what it says on connecting holds.
        """
        if not first and placement.version <= self.current.version:
            _log.warning("placement-not-newer", version=placement.version)
            return False
        before = self.current
        if not self._take_table(placement) and before.HasField("table"):
            placement = PlacementMessage.FromString(placement.SerializeToString())
            placement.table.CopyFrom(before.table)  # what is gone by, also behind a restart
        self.current, self.is_durable = placement, False
        self.is_durable = await self._kept.write(placement.SerializeToString(deterministic=True))
        return True

    def applied(self) -> PlacementApplied:
        """What the hub is told of the placement that is gone by: its version, and which of its limits nobody watches."""
        refused = [
            RefusedLimit(point_of_care=bed.point_of_care[:_PLACE], code=limit.code[:_SHOWN], reason=wrong[0])
            for bed in self.current.beds
            for limit in bed.limits
            if (wrong := _what_is_wrong(limit)) is not None
        ]
        applied = PlacementApplied(version=self.current.version, refused=refused[:MAX_REFUSED_LIMITS])
        applied.table_version = self.table.version
        if self._refused:
            first = self._refused[0]
            applied.table_refused = first.why
            applied.table_refused_item = f"{first.item} {first.column}".strip()[:_PLACE]
        return applied

    def of(self, device: str) -> Placement:
        """What screening is told about a device; the defaults when it is at no bed."""
        for bed in self.current.beds:
            if device in bed.devices:
                return _screening(device, bed, self.current.version, self.table)
        return Placement(table=self.table)

    def _take_table(self, placement: PlacementMessage) -> bool:
        """Go by the placement's critical-value items, or by those that ship where it has none; one wrong row, and by those before."""
        if not placement.HasField("table"):
            self.table, self._refused = SHIPPED, ()
            return True
        table, self._refused = _table(placement.table)
        if not self._refused:
            self.table = table
            return True
        PLACEMENT_TABLES_REFUSED.inc()
        _log.error(
            "critical-table-refused",
            table=table.version,
            reason=str(self._refused[0]),
            problems=len(self._refused),
            goes_by=self.table.version,
            what_to_do="mend the row at the hub and put the new version in force",
        )
        return False


def _table(message: CriticalTable) -> tuple[Table, tuple[Problem, ...]]:
    rows = [{field.name: value for field, value in row.ListFields()} for row in message.items]
    return table_of(message.version, rows)


def _screening(device: str, bed: PlacedBed, version: int, table: Table) -> Placement:
    age_group = _age_group(device, bed.age_group, version)
    limits: list[Limit] = []
    for limit in bed.limits:
        wrong = _what_is_wrong(limit)
        if wrong is not None:
            PLACEMENT_LIMITS_REFUSED.labels(device=device).inc()
            _log.error(
                "limit-refused",
                device=device,
                code=limit.code[:_SHOWN],
                reason=wrong[1],
                version=version,
                what_to_do="set the limit anew at the hub; until then it is not watched",
            )
            continue
        low, high = (limit.low if limit.HasField("low") else None), (limit.high if limit.HasField("high") else None)
        limits.append(Limit(limit.code, low, high))
    return Placement(age_group, bed.paced, tuple(limits), version, table, bed.point_of_care)


def _age_group(device: str, word: str, version: int) -> AgeGroup:
    """The patient group; a word that is none is refused, and the device is watched as an adult's until it is put right."""
    if not word:  # a bed without a patient
        return AgeGroup.ADULT
    try:
        return AgeGroup(word)
    except ValueError:
        PLACEMENT_GROUPS_REFUSED.labels(device=device).inc()
        _log.error(
            "age-group-refused",
            device=device,
            reason=f"expected one of {', '.join(AgeGroup)}, found {word[:_SHOWN]!r}",
            version=version,
            what_to_do="set the age group anew at the hub; until then extremes of an adult are watched",
        )
        return AgeGroup.ADULT


def _what_is_wrong(limit: LimitMessage) -> tuple[LimitRefusal, str] | None:
    """Screening compares bare numbers: a bound in another unit alarms wrongly, and one that is no number never does."""
    term = TERMS.get(limit.code)
    if term is None or term.kind is not TermKind.METRIC:
        return LimitRefusal.UNKNOWN_CODE, "the nomenclature does not have this code among what is measured"
    if limit.unit != term.unit:
        return LimitRefusal.UNIT, f"unit: expected {term.unit!r}, found {limit.unit[:_SHOWN]!r}"
    for name, bound in (("low", limit.low), ("high", limit.high)):  # an absent bound reads as 0
        if not math.isfinite(bound):
            return LimitRefusal.NOT_FINITE, f"{name}: expected a finite number, found {bound}"
    both = limit.HasField("low") and limit.HasField("high")
    if both and limit.low >= limit.high:
        return LimitRefusal.ORDER, f"expected low < high, found {limit.low:g} and {limit.high:g}"
    return None
