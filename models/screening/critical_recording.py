"""Judge what was measured of a recording, a resting ECG of a cart, by the rows of its examination: no alarm, a critical record.

A recording raises no alarm at the bed (docs/decisions/0093); whoever sees it is told that it is critical, and by which item.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.screening.critical_items import AgeGroup, Examination, Table, Urgency


@dataclass(frozen=True, slots=True)
class Found:
    """A measurement beyond a bound. `item` and `table` name the row and the version of the table that say so."""

    code: str
    value: float
    unit: str
    level: Urgency
    bound: float
    is_high: bool
    item: str
    table: int


def critical(
    measurements: Iterable[tuple[str, float, str]], table: Table, age_group: AgeGroup, examination: Examination
) -> tuple[Found, ...]:
    """What is beyond a bound, red before yellow; `measurements` are code, value and unit (UCUM). Another unit is not judged."""
    rows = table.of(examination, age_group)
    found: list[Found] = []
    for code, value, unit in measurements:
        row = rows.get(code)
        if row is None or row.unit != unit:
            continue
        for column in ("red_low", "red_high", "yellow_low", "yellow_high"):
            bound, is_high = row.bounds.get(column), column.endswith("high")
            if bound is not None and (value > bound if is_high else value < bound):
                level = Urgency.RED if column.startswith("red") else Urgency.YELLOW
                found.append(Found(code, value, unit, level, bound, is_high, row.name, table.version))
                break
    return tuple(sorted(found, key=lambda one: one.level is not Urgency.RED))
