"""What was measured last, kept in the documentation: `RECORD=1 make figures ONLY=...` writes `last.json` and the tables that are made of it.

A table stands in a model's card or a page between `<!-- figures: id id ... -->` and `<!-- end -->`; a test holds that it is what `last.json` says.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.figures.kept import ROOT, fingerprint

Row: TypeAlias = Mapping[str, object]

LAST = ROOT / "docs" / "reference" / "figures" / "last.json"
FOLDERS = (ROOT / "models" / "cards", ROOT / "docs" / "reference" / "figures")
KEPT = ("value", "interval", "unit", "n", "gate", "goal", "higher_is_better", "passes", "reaches", "note", "machine")
_TABLE = re.compile(r"(<!-- figures: (?P<ids>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def known(path: Path = LAST) -> dict[str, Row]:
    """By id, what was measured last; empty before the first time."""
    found: dict[str, Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def keep(rows: Iterable[Row], path: Path = LAST) -> dict[str, Row]:
    """Take what was measured now; what was not measured stays as it was."""
    last = known(path)
    for row in rows:
        if "value" in row:
            last[str(row["id"])] = {name: row[name] for name in KEPT} | {"weights": weights()}
    path.write_text(json.dumps(dict(sorted(last.items())), indent=1) + "\n", encoding="utf-8")
    return last


def weights() -> str:
    """Hash of all that models have learned: a row was measured with it."""
    return fingerprint("weights", ("models/weights",), ())


def pages() -> list[Path]:
    """Those that have such a table."""
    return [
        path for folder in FOLDERS for path in sorted(folder.glob("*.md")) if _TABLE.search(path.read_text("utf-8"))
    ]


def filled(text: str, last: Mapping[str, Row]) -> str:
    """The text with its tables made anew; KeyError names a figure that was never measured."""

    def table(found: re.Match[str]) -> str:
        return found[1] + _table(found["ids"].split(), last) + found[3]

    return _TABLE.sub(table, text)


def _table(ids: Sequence[str], last: Mapping[str, Row]) -> str:
    lines = ["| figure | measured | 95 % | gate | goal | n | |", "|---|---|---|---|---|---|---|"]
    for one in ids:
        row = last[one]
        interval, note = row["interval"], f" ({row['note']})" if row["note"] else ""
        span = f"{interval[0]:.4g} to {interval[1]:.4g}" if isinstance(interval, list) else ""
        state = "" if row["gate"] is None else "goal" if row["reaches"] else "met" if row["passes"] else "**not met**"
        shown = [
            f"`{one}`",
            f"{_number(row['value'])} {row['unit']}",
            span,
            *(_number(row[x]) for x in ("gate", "goal", "n")),
            state + note,
        ]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value}"
