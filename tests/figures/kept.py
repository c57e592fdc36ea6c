"""What was worked out once of code and recordings, kept under build/figures-cache for as long as neither changes."""

import hashlib
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "figures-cache"

Result = TypeVar("Result")


def fingerprint(name: str, code: Sequence[str], data: Sequence[Path]) -> str:
    """Hash of the code (paths below the checkout) and the recordings (folders) that something depends on."""
    digest = hashlib.sha256(name.encode())
    for part in code:
        whole = ROOT / part
        for path in sorted(whole.rglob("*")) if whole.is_dir() else [whole]:
            if path.suffix in (".py", ".json", ".tflite") and "__pycache__" not in path.parts:
                digest.update(path.relative_to(ROOT).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    for folder in data:
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def kept(name: str, code: Sequence[str], data: Sequence[Path], work: Callable[[], Result]) -> Result:
    """The result of `work`, from the file of an earlier run where the fingerprint is the same."""
    file = FOLDER / f"{name}-{fingerprint(name, code, data)}.pickle"
    if file.is_file():
        known: Result = pickle.loads(file.read_bytes())  # written below, by this checkout
        return known
    result = work()
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(pickle.dumps(result))
    part.replace(file)
    return result
