"""`python -m tests.figures [--only ID,...] [--long]`: a table on the terminal, build/figures.json for machines.

With RECORD=1 in the environment the documentation says what was measured (`tests.figures.recorded`).
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

from tests.figures import recorded
from tests.figures.catalogue import chosen
from tests.figures.entry import Entry, Figure
from tests.figures.kept import fingerprint

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"


def recordings() -> Path:
    """RECORDINGS, else ../shared/data beside the checkout."""
    return Path(os.environ.get("RECORDINGS") or ROOT.parent / "shared" / "data")


def run(figure: Figure, data: Path) -> list[dict[str, object]]:
    """Measure, or take the result of the same code on the same data."""
    folders = [data / folder for folder in figure.data]
    kept = BUILD / "figures-cache" / f"{figure.id}-{fingerprint(figure.id, figure.code, folders)}.json"
    if figure.cached and kept.is_file():
        rows: list[dict[str, object]] = json.loads(kept.read_text())
        return rows
    start = monotonic()
    entries = figure.measure(data)
    seconds = round(monotonic() - start, 1)
    rows = [_row(entry, seconds) for entry in entries]
    if figure.cached:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(rows))
    return rows


def _row(entry: Entry, seconds: float) -> dict[str, object]:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {**asdict(entry), "passes": entry.passes, "reaches": entry.reaches, "machine": machine, "seconds": seconds}


def main(arguments: Sequence[str] | None = None, data: Path | None = None, build: Path = BUILD) -> int:
    """0 when every figure was run and every gate is met; one whose recordings are not there is a row that says so."""
    parser = argparse.ArgumentParser(prog="python -m tests.figures", description="Measure the product.")
    parser.add_argument("figures", nargs="*", help="figures, entries or groups; all when none is named")
    parser.add_argument("--only", default="", help="the same, comma-separated")
    parser.add_argument("--long", action="store_true", help="the long form of figures that have one")
    asked = parser.parse_args(arguments)
    data = data or recordings()
    rows: list[dict[str, object]] = []
    print(f"{'figure':<18}{'value':>10}  {'unit':<28}{'gate':>8}{'goal':>8}  {'':<10}{'n':>8}{'s':>8}")
    for named in chosen(",".join([*asked.figures, asked.only])):
        figure = named
        if asked.long and named.long is not None:
            figure = replace(named, measure=named.long, cached=False)
        missing = [folder for folder in figure.data if not (data / folder).is_dir()]
        if missing:
            reason = f"no {', '.join(missing)} in {data}; `wardlink recordings get NAME --to DIR` fetches one, then set RECORDINGS=DIR"
            rows.append(
                {
                    "id": figure.id,
                    "group": figure.group,
                    "passes": False,
                    "reaches": False,
                    "note": f"not run: {reason}",
                }
            )
            print(f"{figure.id:<18}{'not run':>10}  {reason}", flush=True)
            continue
        for row in run(figure, data):
            rows.append(row)
            state = "goal" if row["reaches"] else "gate" if row["passes"] else "NOT MET"
            print(
                f"{row['id']:<18}{row['value']:>10}  {row['unit']:<28}{row['gate']!s:>8}{row['goal']!s:>8}"
                f"  {state:<10}{row['n']:>8}{row['seconds']:>8}  {row['note']}",
                flush=True,
            )
            details = row["details"]
            if isinstance(details, dict):
                for key, value in details.items():
                    print(f"    {key}: {value}")
    build.mkdir(exist_ok=True)
    (build / "figures.json").write_text(json.dumps(rows, indent=1))
    if os.environ.get("RECORD"):
        last = recorded.keep(json.loads(json.dumps(rows)))
        for page in recorded.pages():
            page.write_text(recorded.filled(page.read_text("utf-8"), last), encoding="utf-8")
    return 0 if all(row["passes"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
