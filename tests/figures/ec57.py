"""Figure `ec57`: the report of all 48 records of mitdb by models that never saw them, as a page; its gross figures have no gate of their own."""

import os
from collections.abc import Sequence
from pathlib import Path

from models.evaluation.beats import BeatScore
from models.evaluation.folder import result
from models.evaluation.report import Result, report
from models.signal import card
from protocols.ecgfile.wfdb import read_annotations, read_record
from tests.figures import unseen
from tests.figures.entry import Entry, Figure
from tests.figures.kept import ROOT

PAGE = ROOT / "docs" / "reference" / "figures" / "mitdb.md"
TITLE = "mitdb by EC57: every record by models that never saw it"


def results(recordings: Path) -> list[Result]:
    """A result of each record, by name."""
    played = unseen.played(recordings)
    paths = [recordings / "mitdb" / name for name in sorted(played)]
    return [result(path.name, read_record(path), read_annotations(path), played[path.name]) for path in paths]


def judges() -> list[str]:
    """What judged, by the hashes of its files."""
    folds = card.of_folds()

    def of(kind: str) -> str:
        return ", ".join(f"`{sha256[:12]}`" for name, sha256 in sorted(folds.items()) if name.startswith(kind))

    shipped = {
        name: ", ".join(f"`{one[:12]}`" for one in card.of(name).sha256.values())
        for name in ("qrs", "beats", "supraventricular")
    }
    return [
        f"Beats: networks of four folds of DS1 and ludb ({of('qrs-')}); DS2 and the paced records by that of the product ({shipped['qrs']}).",
        f"Classes: networks of ten folds of DS1 and DS2 ({of('beats-')}); the paced records by that of the product ({shipped['beats']}).",
        f"Supraventricular beats: trees of the same ten folds ({of('supraventricular-')}); the paced records by those of the product ({shipped['supraventricular']}).",
        f"Fibrillation and tachycardia: trees of four folds of DS1 ({of('lethal-ds1-')}); the others by those of the product, which learned from vfdb and DS1.",
    ]


def measure(recordings: Path) -> Sequence[Entry]:
    """Write the page into build/, and with RECORD=1 into the documentation."""
    found = results(recordings)
    text = report(found, TITLE, judges(), {})
    for file in (ROOT / "build" / PAGE.name, *([PAGE] if os.environ.get("RECORD") else [])):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    total = sum((one.beats for one in found), BeatScore())
    rows = (("qrs", total.detection), ("veb", total.ventricular), ("sveb", total.supraventricular))
    return [
        Entry(
            id=f"ec57-{name}-f1", group="accuracy", value=round(rates.f1, 2), unit="%", gate=None, goal=None, reference="",
            higher_is_better=True, n=rates.true_positive + rates.false_negative,
        )
        for name, rates in rows
    ]  # fmt: skip


FIGURES = (
    Figure(
        "ec57", "accuracy", measure, ("mitdb",), cached=False, yields=("ec57-qrs-f1", "ec57-veb-f1", "ec57-sveb-f1")
    ),
)
