"""The excerpts that every clone has: small, attributed, and what their attribution says that they show."""

from pathlib import Path

import numpy as np
import pytest

from firmware_adapters.simulate.nonin import pleth_of, readings_of
from protocols.ecgfile.wfdb import read_annotations, read_record

LIMIT_BYTES = 3_000_000


def rhythm_at(place: Path, second: float, fs_hz: float = 360) -> str:
    notes = [a for a in read_annotations(place) if a.aux.startswith("(") and a.sample <= second * fs_hz]
    return notes[-1].aux


def test_all_excerpts_together_are_small_and_each_is_attributed(captures: Path) -> None:
    assert sum(p.stat().st_size for p in captures.rglob("*") if p.is_file()) < LIMIT_BYTES
    attribution = (captures / "ATTRIBUTION.md").read_text()
    names = sorted(p.stem for p in captures.glob("*.hea"))
    assert len(names) >= 9
    for name in names:
        assert f"`{name}`" in attribution
        assert np.isfinite(read_record(captures / name).physical()).all()


@pytest.mark.parametrize(("name", "second", "rhythm"), [
    ("mitdb-200-bigeminy", 5, "(N"), ("mitdb-200-bigeminy", 45, "(B"), ("mitdb-200-bigeminy", 80, "(VT"),
    ("mitdb-205-vt", 30, "(N"), ("mitdb-205-vt", 60, "(VT"), ("mitdb-205-vt", 65, "(VT"),
    ("mitdb-202-af", 30, "(N"), ("mitdb-202-af", 70, "(AFIB"), ("mitdb-202-af", 150, "(AFIB"),
])  # fmt: skip
def test_an_excerpt_shows_the_rhythm_that_its_attribution_names(
    captures: Path, name: str, second: float, rhythm: str
) -> None:
    assert rhythm_at(captures / name, second) == rhythm


def test_the_plethysmogram_fades_when_the_heart_fibrillates(captures: Path) -> None:
    pleth = pleth_of(captures / "cinc2015-f545l-vf")
    beating, fibrillating = pleth[: 20 * 75], pleth[40 * 75 : 60 * 75]
    assert np.ptp(beating) > 20 * np.ptp(fibrillating)
    readings = readings_of(captures / "cinc2015-f545l-vf.readings.csv")
    assert readings[-1].spo2 is None
    assert 22 < readings[-1].from_s < 40


def test_the_saturation_falls_in_the_monitors_numbers(captures: Path) -> None:
    lines = (captures / "bidmc-11-desaturation.numerics.csv").read_text().splitlines()
    assert lines[0] == "seconds,HR,PULSE,RESP,SpO2"
    saturation = [int(line.rsplit(",", 1)[1]) for line in lines[1:]]
    assert len(saturation) == 300
    assert (saturation[0], saturation[110], saturation[240]) == (100, 97, 96)
