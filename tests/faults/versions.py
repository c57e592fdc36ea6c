"""The code of an older commit, in a worktree of its own, to be run as hub or as gateway."""

import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.possible import NotPossibleError

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "tests" / "conformance" / "released.txt"
_NOT_COMMITTED = "wardlink/web/static/vendor"  # the JavaScript parts


def released() -> str:
    """The commit that tests/conformance/released.txt names."""
    lines = (line.partition("#")[0].strip() for line in RELEASED.read_text().splitlines())
    return next(line for line in lines if line)


@contextmanager
def code_of(commit: str, folder: Path) -> Generator[Path]:
    """Its files in `folder`, with the modules that are made; NotPossibleError where the history lacks it."""
    _do(["git", "-C", str(ROOT), "worktree", "add", "--detach", "--force", str(folder), commit])
    try:
        _do([sys.executable, "-m", "protocols.generate"], folder)
        shutil.copytree(ROOT / _NOT_COMMITTED, folder / _NOT_COMMITTED, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(folder)], check=False, capture_output=True
        )


def _do(words: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"`{' '.join(words[-5:])}`: {done.stderr.strip()}"
        raise NotPossibleError(msg)
