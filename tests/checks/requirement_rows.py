"""Writes docs/reference/requirements.{json,md} from the tables that paraphrase the source standards.

Run by hand when a table changes: `python -m tests.checks.requirement_rows DIR`, DIR holding a Markdown file a standard.
"""

import json
import re
import sys
from pathlib import Path

OUT = Path("docs/reference")
ROW = re.compile(r"^\| *([A-Z]{3}-[\w.]+) *\| *(.+?) *\| *(do|figure|ops) *\|$")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def main(folder: Path) -> None:
    """Read the tables of `folder` and write both files."""
    rows: list[dict[str, str]] = []
    page = ["# Requirements", "", "What the five source standards ask for, paraphrased; generated, do not edit.", ""]
    for path in sorted(folder.glob("*.md")):
        text = path.read_text("utf-8")
        found = [match.groups() for line in text.splitlines() if (match := ROW.match(line.strip()))]
        title = TITLE.search(text)
        if not found or title is None:
            continue
        rows += [{"id": name, "text": words, "kind": kind} for name, words, kind in found]
        page += [f"## {title[1]}", "", "| id | requirement | kind |", "|---|---|---|"]
        page += [f"| {name} | {words} | {kind} |" for name, words, kind in found] + [""]
    if not rows:
        sys.exit(f"requirement_rows: no table `| id | requirement | kind |` in {folder}/*.md")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "requirements.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (OUT / "requirements.md").write_text("\n".join(page), "utf-8")
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
