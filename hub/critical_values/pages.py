"""The page of critical-value items: the rows of an examination and age group, edited into a new version; versions put in force.

Without scripts: a change comes back as the form it was, with what is wrong beside its cell, until it is a version.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from hub.accounts.domain import Person
from hub.core.errors import ConflictError, DomainError, InvalidError
from hub.core.policy import allowed, declares
from hub.critical_values.domain import changes
from hub.critical_values.present import makers, name_of
from hub.critical_values.service import RefusedTableError
from hub.web.kit import to_sign_in
from models.screening.critical_check import Problem, Wrong, values_of
from models.screening.critical_items import RHYTHMS, AgeGroup, Examination, Item, Table
from protocols.nomenclature import TERMS, TermKind

if TYPE_CHECKING:
    from hub.accounts.service import Accounts
    from hub.critical_values.service import CriticalValues
    from hub.web.kit import WebKit

NUMBERS = ("red_low", "yellow_low", "yellow_high", "red_high", "delay_s", "hysteresis")
COLUMNS = ("code", *NUMBERS, "level", "unit", "source", "examination", "age_group")
UNIT_WORDS = ("/min", "%", "mm[Hg]", "Cel", "s", "ms", "1", "mg/dL", "mmol/L")  # others stand as UCUM writes them
_RECORDED = ("MDC_ECG_HEART_RATE", "MDC_ECG_TIME_PD_")  # what a cart measures, by the beginning of the code
Text = Annotated[str, Form(max_length=1000)]
Texts = Annotated[list[Annotated[str, Field(max_length=1000)]], Form(default_factory=list, max_length=500)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it was typed. `wrong`: column -> (why, found), of what is refused."""

    code: str
    cells: Mapping[str, str]
    is_removed: bool = False
    wrong: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])

    @property
    def unit(self) -> str:
        """In which its bounds are."""
        rule, term = RHYTHMS.get(self.code), TERMS.get(self.code)
        return rule.unit if rule is not None else "" if term is None else term.unit

    @property
    def sides(self) -> frozenset[str]:
        """Which bounds it can have."""
        rule = RHYTHMS.get(self.code)
        if rule is None:
            return frozenset({"low", "high"})
        return frozenset({rule.side} if rule.side else ())

    @property
    def is_rhythm(self) -> bool:
        """Whether the screening finds it by itself."""
        return self.code in RHYTHMS

    @property
    def is_lethal(self) -> bool:
        """Whether it cannot be removed."""
        return self.code in RHYTHMS and RHYTHMS[self.code].lethal

    @property
    def has_level(self) -> bool:
        """Whether it is red or yellow without a bound."""
        return self.is_rhythm and not self.sides


def add_routes(router: APIRouter, web: "WebKit", critical: "CriticalValues", accounts: "Accounts") -> None:
    """Add the routes."""
    signed_in = Depends(web.signed_in)

    async def show(
        request: Request,
        person: Person,
        where: "tuple[Examination, AgeGroup, int | None]",
        *,
        typed: Sequence[Line] | None = None,
        reason: str = "",
        error: DomainError | None = None,
    ) -> Response:
        examination, group, wanted = where
        principal = person.principal
        now = await critical.in_force(principal)
        versions, activations = await critical.versions(principal), await critical.activations(principal)
        table = now.table if wanted in (None, now.table.version) else await critical.table(principal, wanted or 0)
        lines = _lines(table, examination, group) if typed is None else list(typed)
        problems = error.problems if isinstance(error, RefusedTableError) else ()
        return web.page(
            request,
            "critical_values",
            person,
            code=200 if error is None else error.status,
            room="critical",
            examination=examination.value,
            group=group.value,
            examinations=[one.value for one in Examination],
            groups=[one.value for one in AgeGroup],
            numbers=NUMBERS,
            unit_words=UNIT_WORDS,
            table=table.version,
            now=now,
            lines=lines,
            addable=_addable(examination, lines),
            others=[one for one in problems if not any(_is_of(one, line, examination, group) for line in lines)],
            changes=changes(now.table, table),
            versions=versions,
            activations=activations,
            gateways=await critical.gateways(principal),
            names=await accounts.names(principal, makers([*versions, *activations, now.activation])),
            name_of=name_of,
            reason=reason,
            error=None if error is None else error.reason,
            may_change=allowed(principal, "critical.change"),
            may_activate=allowed(principal, "critical.activate"),
            is_typed=typed is not None,
        )

    @router.get("/critical-values")
    @declares("critical.read")
    async def page(
        request: Request,
        examination: Examination = Examination.MONITORING,
        group: AgeGroup = AgeGroup.ADULT,
        version: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    ) -> Response:
        person = await web.person(request)
        if person is None:
            return to_sign_in(request)
        return await show(request, person, (examination, group, version))

    @router.post("/critical-values")
    @declares("critical.change")
    async def change(
        request: Request,
        person: Annotated[Person, signed_in],
        examination: Annotated[Examination, Form()],
        group: Annotated[AgeGroup, Form()],
        based_on: Version,
        add: Text = "",
        reason: Text = "",
        act: Text = "save",
        *,
        code: Texts,
        remove: Texts,
        red_low: Texts,
        yellow_low: Texts,
        yellow_high: Texts,
        red_high: Texts,
        delay_s: Texts,
        hysteresis: Texts,
        level: Texts,
        source: Texts,
    ) -> Response:
        cells = {
            "red_low": red_low,
            "yellow_low": yellow_low,
            "yellow_high": yellow_high,
            "red_high": red_high,
            "delay_s": delay_s,
            "hysteresis": hysteresis,
            "level": level,
            "source": source,
        }
        lines = _typed(code, cells, remove)
        where = (examination, group, based_on)
        if act == "add" and add in TERMS:
            at_once = "red" if add in RHYTHMS and not RHYTHMS[add].side else ""
            lines.append(Line(add, dict.fromkeys(cells, "") | {"delay_s": "0", "hysteresis": "0", "level": at_once}))
            return await show(request, person, where, typed=lines, reason=reason)
        base = await critical.table(person.principal, based_on)
        rest = [values_of(one) for one in base.items if (one.examination, one.age_group) != (examination, group)]
        try:
            rows = [_row(line, examination, group) for line in lines if not line.is_removed]
            made = await critical.make(person.principal, based_on, [*rest, *rows], reason)
        except (InvalidError, ConflictError) as error:
            if isinstance(error, RefusedTableError):
                lines = _marked(lines, error.problems, examination, group)
            return await show(request, person, where, typed=lines, reason=reason, error=error)
        return _to(examination, group, made)

    @router.post("/critical-values/in-force")
    @declares("critical.activate")
    async def activate(
        request: Request,
        person: Annotated[Person, signed_in],
        examination: Annotated[Examination, Form()],
        group: Annotated[AgeGroup, Form()],
        version: Version,
        instead_of: Version,
        reason: Text = "",
    ) -> Response:
        try:
            await critical.activate(person.principal, version, instead_of, reason)
        except (InvalidError, ConflictError) as error:
            return await show(request, person, (examination, group, version), reason=reason, error=error)
        return _to(examination, group, None)


def _to(examination: Examination, group: AgeGroup, version: int | None) -> RedirectResponse:
    wanted: dict[str, str] = {"examination": examination, "group": group}
    if version is not None:
        wanted["version"] = str(version)
    return RedirectResponse(f"/critical-values?{urlencode(wanted)}", 303)


def _lines(table: Table, examination: Examination, group: AgeGroup) -> list[Line]:
    """The rows in the order of the table: rhythms first, as they ship."""
    return [_line(item) for item in table.of(examination, group).values()]


def _line(item: Item) -> Line:
    values = values_of(item)
    cells = {column: _shown(values.get(column)) for column in (*NUMBERS, "level", "source")}
    return Line(item.code, cells)


def _shown(value: str | float | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"


def _typed(codes: Sequence[str], cells: Mapping[str, Sequence[str]], removed: Iterable[str]) -> list[Line]:
    """The lines of the form; every line sends every cell, so that they stand at the same places."""
    if any(len(column) != len(codes) for column in cells.values()) or any(code not in TERMS for code in codes):
        raise InvalidError("The form is not whole.", "Load the page again.", reason="form")
    gone = set(removed)
    return [
        Line(code, {name: column[i].strip() for name, column in cells.items()}, code in gone)
        for i, code in enumerate(codes)
    ]


def _row(line: Line, examination: Examination, group: AgeGroup) -> dict[str, object]:
    """A line as plain values. What is no number stays a text, which the check refuses by its column."""
    row: dict[str, object] = {
        "examination": examination.value,
        "code": line.code,
        "age_group": group.value,
        "unit": line.unit,
    }
    for column in NUMBERS:
        if text := line.cells[column]:
            row[column] = _number(text)
    if line.cells["level"]:
        row["level"] = line.cells["level"]
    return row | {"source": line.cells["source"]}


def _number(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text


def _is_of(problem: Problem, line: Line, examination: Examination, group: AgeGroup) -> bool:
    """Whether a problem is of a line that is shown and stays."""
    return problem.item == f"{examination}/{line.code}/{group}" and not line.is_removed


def _marked(
    lines: Sequence[Line], problems: Sequence[Problem], examination: Examination, group: AgeGroup
) -> list[Line]:
    """The lines with what is wrong beside their cells; of a row as a whole it stands at its code."""
    marked: list[Line] = []
    for line in lines:
        own = [one for one in problems if _is_of(one, line, examination, group)]
        wrong = {one.column or "code": (str(one.why), _detail(one)) for one in reversed(own)}
        marked.append(Line(line.code, line.cells, line.is_removed, wrong))
    return marked


def _detail(problem: Problem) -> str:
    """The range that is allowed, which needs no language but its numbers."""
    return problem.expected.replace(" to ", " \u2013 ") if problem.why in (Wrong.RANGE, Wrong.DELAY) else ""


def _addable(examination: Examination, lines: Sequence[Line]) -> list[str]:
    """Codes of which a row can be added."""
    there = {line.code for line in lines}
    found = [code for code in RHYTHMS if examination is Examination.MONITORING]
    for code, term in TERMS.items():
        recorded = code.startswith(_RECORDED)
        is_of = recorded if examination is Examination.ROUTINE_ECG else not recorded or code == _RECORDED[0]
        if term.kind is TermKind.METRIC and term.plausible is not None and is_of:
            found.append(code)
    return [code for code in found if code not in there]
