"""What no table of critical-value items may say, with the row, the column, what was expected and what was found.

Hub and gateway check by the same code: the hub before a version is kept, the gateway before it goes by one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.screening.critical_items import BOUNDS, LEVELS, RHYTHMS, AgeGroup, Examination, Item, Table, Urgency
from protocols.nomenclature import TERMS, TermKind

MOST_ITEMS = 500
MOST_TEXT = 500  # characters of a source
MOST_DELAY_S = 60.0
MOST_RED_DELAY_S = 30.0
# With what the detectors take, an alarm within the 10 s that IEC 60601-2-27 gives a cardiac standstill.
MOST_LETHAL_DELAY_S = 2.0


class Wrong(StrEnum):
    """Why a table is refused. Stable words; a later version may have more."""

    UNKNOWN_CODE = "unknown-code"
    UNIT = "unit"
    NOT_FINITE = "not-finite"
    ORDER = "order"
    RED_INSIDE = "red-inside-yellow"
    RANGE = "range"
    DELAY = "delay"
    HYSTERESIS = "hysteresis"
    EMPTY = "empty"
    LEVEL = "level"
    LETHAL = "lethal"
    TWICE = "twice"
    SOURCE = "source"
    SIZE = "size"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the item's name, the column (empty: the row, or the table), and why."""

    item: str
    column: str
    why: Wrong
    expected: str
    found: str

    def __str__(self) -> str:
        """As a log or an error says it."""
        where = " ".join(part for part in (self.item, self.column) if part) or "the table"
        return f"{where}: expected {self.expected}, found {self.found}"


_TEXTS = ("examination", "code", "age_group", "unit", "source")
_NUMBERS = (*BOUNDS, "delay_s", "hysteresis")
_FIELDS = frozenset({*_TEXTS, *_NUMBERS, "level"})
_NAMED = 64  # characters of a word that is quoted


def values_of(item: Item) -> dict[str, str | float]:
    """A row as plain values by the name of its column, as it is stored and sent; what is not set is left out."""
    texts = {
        "level": None if item.level is None else item.level.value,
        **{name: str(getattr(item, name)) for name in _TEXTS},
    }
    numbers = {"delay_s": item.delay_s, "hysteresis": item.hysteresis, **item.bounds}
    return {name: value for name, value in {**texts, **numbers}.items() if value is not None}


def table_of(version: int, rows: Iterable[Mapping[str, object]]) -> tuple[Table, tuple[Problem, ...]]:
    """Read plain values into a table and check it; what cannot be read as a row is left out of it and told."""
    items: list[Item] = []
    wrong: list[Problem] = []
    for row in rows:
        item = _read(row, wrong)
        if item is not None:
            items.append(item)
    table = Table(version, tuple(items))
    return table, (*wrong, *problems(table))


def _read(row: Mapping[str, object], wrong: list[Problem]) -> Item | None:
    name = "/".join(str(row.get(part, ""))[:_NAMED] for part in ("examination", "code", "age_group"))
    told = len(wrong)
    expected = f"one of {', '.join(sorted(_FIELDS))}"
    wrong.extend(Problem(name, column[:_NAMED], Wrong.FIELD, expected, "another") for column in row.keys() - _FIELDS)
    texts = {column: row.get(column) for column in _TEXTS}
    for column, text in texts.items():
        if not isinstance(text, str):
            wrong.append(Problem(name, column, Wrong.FIELD, "a text", type(text).__name__))
    numbers: dict[str, float | None] = {}
    for column in _NUMBERS:
        number = row.get(column)
        if isinstance(number, bool) or not isinstance(number, int | float | None):
            wrong.append(Problem(name, column, Wrong.FIELD, "a number", type(number).__name__))
        else:
            numbers[column] = None if number is None else float(number)
    words: dict[str, object] = {}
    for column, kind in (("examination", Examination), ("age_group", AgeGroup), ("level", Urgency)):
        word = row.get(column)
        known = {str(one): one for one in kind}
        if word is not None and word not in known:
            why = Wrong.LEVEL if kind is Urgency else Wrong.FIELD
            wrong.append(Problem(name, column, why, f"one of {', '.join(known)}", repr(str(word)[:_NAMED])))
        else:
            words[column] = None if word is None else known[str(word)]
    if len(wrong) > told:
        return None
    examination, age_group, level = words["examination"], words["age_group"], words["level"]
    assert isinstance(examination, Examination)
    assert isinstance(age_group, AgeGroup)
    assert level is None or isinstance(level, Urgency)
    return Item(
        examination,
        str(texts["code"]),
        age_group,
        str(texts["unit"]),
        str(texts["source"]),
        numbers["yellow_low"],
        numbers["yellow_high"],
        numbers["red_low"],
        numbers["red_high"],
        level,
        numbers["delay_s"] or 0.0,
        numbers["hysteresis"] or 0.0,
    )


def problems(table: Table) -> tuple[Problem, ...]:
    """Everything that is wrong with a table; empty when it can be gone by."""
    if len(table.items) > MOST_ITEMS:
        return (Problem("", "", Wrong.SIZE, f"at most {MOST_ITEMS} items", str(len(table.items))),)
    found: list[Problem] = []
    seen: set[str] = set()
    for item in table.items:
        if item.name in seen:
            found.append(
                Problem(item.name, "", Wrong.TWICE, "one row of a code for each examination and age group", "two")
            )
        seen.add(item.name)
        found += _of_item(item)
    for age_group in AgeGroup:
        there = table.of(Examination.MONITORING, age_group)
        for code, rule in RHYTHMS.items():
            if rule.lethal and code not in there:
                name = f"{Examination.MONITORING}/{code}/{age_group}"
                found.append(
                    Problem(name, "", Wrong.LETHAL, "a row that is watched", "none: it cannot be switched off")
                )
    return tuple(found)


def _of_item(item: Item) -> Iterator[Problem]:
    for bound in (*item.bounds.items(), ("delay_s", item.delay_s), ("hysteresis", item.hysteresis)):
        if not math.isfinite(bound[1]):
            yield Problem(item.name, bound[0], Wrong.NOT_FINITE, "a finite number", str(bound[1]))
            return
    if not item.source.strip() or len(item.source) > MOST_TEXT:
        expected = f"where the values come from, in 1 to {MOST_TEXT} characters"
        yield Problem(item.name, "source", Wrong.SOURCE, expected, f"{len(item.source)} characters")
    if item.code in RHYTHMS and item.examination is Examination.MONITORING:
        yield from _of_rhythm(item)
    else:
        yield from _of_measure(item)


def _of_rhythm(item: Item) -> Iterator[Problem]:
    rule = RHYTHMS[item.code]
    if item.unit != rule.unit:
        yield Problem(item.name, "unit", Wrong.UNIT, repr(rule.unit), repr(item.unit[:32]))
    allowed = {f"red_{rule.side}", f"yellow_{rule.side}"} if rule.side else set[str]()
    for column in item.bounds.keys() - allowed:
        yield Problem(item.name, column, Wrong.EMPTY, "no such bound of this rhythm", f"{item.bounds[column]:g}")
    if rule.side:
        if len(item.bounds) != 1 or item.level is not None:
            yield Problem(item.name, f"red_{rule.side}", Wrong.EMPTY, "one bound, red or yellow", f"{len(item.bounds)}")
        for column, bound in item.bounds.items():
            if not rule.least <= bound <= rule.most:
                yield _range(item, column, rule.least, rule.most, bound)
    elif item.level not in LEVELS:
        yield Problem(item.name, "level", Wrong.LEVEL, "red or yellow", str(item.level))
    if rule.lethal and item.urgency is not Urgency.RED:
        yield Problem(item.name, "level", Wrong.LETHAL, "red: a lethal rhythm is nothing less", str(item.urgency))
    yield from _delay(item, MOST_LETHAL_DELAY_S if rule.lethal else MOST_RED_DELAY_S)


def _of_measure(item: Item) -> Iterator[Problem]:
    term = TERMS.get(item.code)
    if term is None or term.kind is not TermKind.METRIC or term.plausible is None:
        expected = "a measurement of the nomenclature, or a rhythm that is found at the bed"
        yield Problem(item.name, "code", Wrong.UNKNOWN_CODE, expected, repr(item.code[:64]))
        return
    if item.unit != term.unit:
        yield Problem(item.name, "unit", Wrong.UNIT, repr(term.unit), repr(item.unit[:32]))
    if item.level is not None:
        yield Problem(item.name, "level", Wrong.LEVEL, "bounds: they say what is red and what yellow", str(item.level))
    if not item.bounds:
        yield Problem(item.name, "", Wrong.EMPTY, "a bound", "none: remove the row instead")
    for column, bound in item.bounds.items():
        if not term.plausible[0] <= bound <= term.plausible[1]:
            yield _range(item, column, *term.plausible, bound)
    yield from _order(item)
    yield from _delay(item, MOST_RED_DELAY_S if item.urgency is Urgency.RED else MOST_DELAY_S)


def _order(item: Item) -> Iterator[Problem]:
    """Red low below yellow low below yellow high below red high, as far as they are set; an alarm must also be able to end."""
    before: tuple[str, float] | None = None
    room = math.inf
    for column in BOUNDS:
        bound = item.bounds.get(column)
        if bound is None:
            continue
        if before is not None and bound <= before[1]:
            one_side = {before[0], column} in ({"red_low", "yellow_low"}, {"yellow_high", "red_high"})
            why = Wrong.RED_INSIDE if one_side else Wrong.ORDER
            yield Problem(item.name, column, why, f"more than {before[0]} ({before[1]:g})", f"{bound:g}")
        if before is not None and before[0].endswith("low") and column.endswith("high"):
            room = bound - before[1]
        before = column, bound
    if item.hysteresis < 0 or item.hysteresis * 2 >= room:
        expected = "0 or more, and less than half of what lies between the bounds"
        yield Problem(item.name, "hysteresis", Wrong.HYSTERESIS, expected, f"{item.hysteresis:g}")


def _delay(item: Item, most: float) -> Iterator[Problem]:
    if not 0 <= item.delay_s <= most:
        yield Problem(item.name, "delay_s", Wrong.DELAY, f"0 to {most:g} s", f"{item.delay_s:g} s")


def _range(item: Item, column: str, least: float, most: float, found: float) -> Problem:
    return Problem(item.name, column, Wrong.RANGE, f"{least:g} to {most:g} {item.unit}", f"{found:g}")
