"""Programs that doors stand on come unpacked from the machine's own suite and run from there."""

from pathlib import Path

import pytest

from wardlink.local.parts import PARTS, Part, find_or_unpack, speak, unpacked
from wardlink.local.places import Places

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("part", PARTS.values(), ids=list(PARTS))
def test_each_program_runs_from_where_it_was_unpacked(part: Part, usual_places: Places):
    program = unpacked(part, usual_places, lambda _line: None)
    assert program.executable.is_relative_to(usual_places.cache)
    assert part.says in speak(part, program, usual_places.tool_environ())


def test_an_installed_program_is_taken_first(usual_places: Places, tmp_path: Path):
    own = tmp_path / "nginx"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    places = Places(cache=usual_places.cache, data=usual_places.data, search_path=str(tmp_path))
    assert find_or_unpack("nginx", places, lambda _line: None).executable == own
