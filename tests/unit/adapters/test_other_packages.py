"""Adapters and doors of other packages, installed as a package is: a module and its entry points."""

from pathlib import Path

import pytest

from firmware_adapters.adapter import ConfigError
from firmware_adapters.door import DoorConfig
from firmware_adapters.door_registry import kinds, make_door
from firmware_adapters.registry import families, find_adapter

MODULE = """
class Thing:
    def __init__(self, version):
        self.api_version = version

def old_adapter():
    return Thing(0)

def new_adapter():
    return Thing(1)

def old_door(config):
    return Thing(0)

def new_door(config):
    return Thing(1)
"""
ENTRY_POINTS = """
[wardlink.adapters]
elder = bedside_things:old_adapter
younger = bedside_things:new_adapter
[wardlink.doors]
hatch = bedside_things:old_door
window = bedside_things:new_door
"""


@pytest.fixture(autouse=True)
def _another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `bedside-things`, installed beside ours."""
    (tmp_path / "bedside_things.py").write_text(MODULE)
    info = tmp_path / "bedside_things-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bedside-things\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))


def config(kind: str) -> DoorConfig:
    return DoorConfig("front", kind, "", lambda: 0, Path())


def test_what_another_package_offers_is_found():
    assert {"elder", "younger"} <= set(families())
    assert {"hatch", "window"} <= set(kinds())
    assert find_adapter("younger").api_version == make_door(config("window")).api_version == 1


def test_what_was_written_for_another_version_is_refused_and_says_so():
    with pytest.raises(ConfigError, match="adapter 'elder' was written for adapter API 0; this agent speaks 1"):
        find_adapter("elder")
    with pytest.raises(ConfigError, match="door 'hatch' was written for door API 0; this agent speaks 1"):
        make_door(config("hatch"))


def test_what_nobody_offers_is_refused_with_what_is_known():
    with pytest.raises(ConfigError, match=r"known are: .*elder"):
        find_adapter("nobody")
    with pytest.raises(ConfigError, match=r"known are: .*hatch"):
        make_door(config("nobody"))
