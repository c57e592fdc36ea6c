"""Versions of a table of critical-value items as values, and what one changed of another. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.screening.critical_check import Problem, values_of
from models.screening.critical_items import Item, Table

MOST_REASON = 500


@dataclass(frozen=True, slots=True)
class Version:
    """A version that somebody made of another, and why. `based_on` 0: of what ships."""

    version: int
    based_on: int
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Activation:
    """A version that was put in force, by whom and why."""

    version: int
    reason: str
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class InForce:
    """The table that is gone by, and how it came to be; `activation` is None as long as nobody has put one in force."""

    table: Table
    activation: Activation | None = None


@dataclass(frozen=True, slots=True)
class AtGateway:
    """By which version a gateway goes (None: it has not said so), and why not by a newer one."""

    name: str
    version: int | None
    refused: str
    refused_item: str
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """What was changed of one row: column -> (before, after). A row that came or went has every column."""

    item: str
    columns: Mapping[str, tuple[str | float | None, str | float | None]]

    def __str__(self) -> str:
        """As the audit has it."""
        return f"{self.item} " + ", ".join(f"{column}: {was} -> {now}" for column, (was, now) in self.columns.items())


def changes(before: Table, after: Table) -> tuple[Change, ...]:
    """What `after` has otherwise than `before`, in the order of its rows; what is gone stands behind."""
    old, new = _by_name(before.items), _by_name(after.items)
    found: list[Change] = []
    for name in (*new, *(name for name in old if name not in new)):
        was = values_of(old[name]) if name in old else {}
        now = values_of(new[name]) if name in new else {}
        columns = {
            column: (was.get(column), now.get(column))
            for column in dict.fromkeys((*now, *was))
            if was.get(column) != now.get(column)
        }
        if columns:
            found.append(Change(name, columns))
    return tuple(found)


def said(problems: Iterable[Problem]) -> str:
    """The first few problems in words."""
    listed = list(problems)
    more = f" And {len(listed) - 3} more." if len(listed) > 3 else ""
    return "; ".join(str(one) for one in listed[:3]) + "." + more


def _by_name(items: Iterable[Item]) -> dict[str, Item]:
    return {item.name: item for item in items}
