"""The ward of the demo as values: as many beds as are promised, each device in one place, and names that no ledger confuses."""

import re
from pathlib import Path

import pytest

from wardlink.demo.ward import BEDS, Recordings, done_without, ward
from wardlink.recordings import DATABASES

CAPTURES = Path(__file__).parents[1] / "captures"


def test_there_are_as_many_beds_as_are_promised_and_no_device_stands_at_two():
    beds = ward(Recordings(CAPTURES, None))
    assert [bed.label for bed in beds] == [str(n + 1) for n in range(BEDS)]
    devices = [device for bed in beds for rig in bed.rigs for device in rig.devices]
    assert len(set(devices)) == len(devices) == 8


@pytest.mark.parametrize("n", [1, 4])
def test_fewer_beds_are_the_first_ones(n: int):
    assert [bed.label for bed in ward(Recordings(CAPTURES, None), n)] == [str(i + 1) for i in range(n)]


def test_a_folder_without_the_recordings_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="There is no recording"):
        ward(Recordings(CAPTURES, tmp_path))


def refused(folder: Path) -> str:
    """What is said of the first recording that is not there; "" when all are."""
    try:
        ward(Recordings(CAPTURES, folder))
    except FileNotFoundError as error:
        return str(error)
    return ""


def test_each_recording_that_the_ward_plays_is_one_that_can_be_fetched(tmp_path: Path):
    said = r"There is no recording (\S+)\. Fetch it with: wardlink recordings get (\w+) --to (\S+)"
    while found := refused(tmp_path):
        asked = re.fullmatch(said, found)
        assert asked, found
        path, name, to = Path(asked[1]), asked[2], Path(asked[3])
        assert (path.parent, to) == (tmp_path / name, tmp_path)
        assert path.name in (DATABASES[name].records or (path.name,))
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".hea").write_text(f"{path.name} 0 250 100\n")  # as if it had been
    # carts' files cannot be fetched: that there are none is told, and where they would lie
    beds = ward(Recordings(CAPTURES, tmp_path))
    said = done_without(beds, tmp_path)
    assert said.startswith(f"There is no {tmp_path}/files/aecg/*_example.xml")
    assert "bed 6" in said
    assert done_without(beds[:5], tmp_path) == done_without(ward(Recordings(CAPTURES, None)), None) == ""
    (tmp_path / "files" / "aecg").mkdir(parents=True)
    (tmp_path / "files" / "aecg" / "cart_example.xml").touch()
    assert done_without(ward(Recordings(CAPTURES, tmp_path)), tmp_path) == ""


@pytest.mark.recordings("cinc2015", "vfdb", "mitdb", "ecg12", "ludb")
def test_whole_recordings_are_played_from_where_the_excerpts_begin(recordings: Path):
    beds = ward(Recordings(CAPTURES, recordings))
    assert len(beds) == BEDS
