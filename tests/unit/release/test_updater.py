"""What the agent does with releases that it is given: by a person beside it, or by a hub that changes its mind, on a disk that fails."""

import os
import subprocess
import sys
from pathlib import Path

from edge.update.state import Folder

STRANGER = 54321  # a user and a group of nobody here
PUT = """
import os, sys
from pathlib import Path
from edge.update.person import put

os.chdir(sys.argv[1])  # the folders of tests are root's alone
put(Path("state"), Path("given.release"))
"""


def put_as_now(place: Path) -> str:
    """Put a release of this user's into the state, in a process of its own; what it says when it fails."""
    (place / "given.release").write_bytes(b"any bytes")
    (place / "given.release").chmod(0o600)
    return subprocess.run([sys.executable, "-c", PUT, str(place)], capture_output=True, text=True, check=False).stderr


def test_a_release_from_root_is_put_with_the_rights_of_the_states_owner_who_cannot_lead_root_elsewhere(tmp_path: Path):
    """As another user than root the first half only: there is nobody to lead then."""
    tmp_path.chmod(0o711)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    owner = STRANGER if os.geteuid() == 0 else os.geteuid()
    os.chown(state, owner, STRANGER if owner == STRANGER else -1)
    assert put_as_now(tmp_path) == ""
    folder = Folder(state)
    [put] = (folder.path / "inbox").glob("person-*.release")
    assert put.read_bytes() == b"any bytes"
    assert {one.stat().st_uid for one in (folder.path, folder.wheels, folder.releases, put.parent, put)} == {owner}
    if owner == STRANGER:
        of_root = tmp_path / "of-root"
        of_root.mkdir(mode=0o755)
        folder.path.rename(state / "moved")
        folder.path.symlink_to(of_root)
        assert "PermissionError" in put_as_now(tmp_path)
        assert list(of_root.iterdir()) == []
        assert of_root.stat().st_uid == 0
