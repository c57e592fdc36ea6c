"""Where trained files go: models/weights, with their hashes in the model card or, of a fold, in the list of folds."""

import hashlib
import json
from pathlib import Path

from models.signal.card import FOLDS

MODELS = Path(__file__).parents[1]


def table_bytes(table: object) -> bytes:
    """A table as it is written: the same table gives the same bytes."""
    return json.dumps(table, separators=(",", ":")).encode()


def put(name: str, data: bytes, models: Path = MODELS) -> str:
    """Write `models/weights/NAME` and its hash; what was written in one line. FileNotFoundError when no card lists it."""
    digest = hashlib.sha256(data).hexdigest()
    if name.startswith("folds/"):
        _list(models / "weights" / FOLDS, name.removeprefix("folds/"), digest)
    else:
        _state(models / "cards", name, digest)
    (models / "weights" / name).write_bytes(data)
    return f"{name} {len(data)} bytes SHA-256 {digest}"


def _list(sums: Path, name: str, digest: str) -> None:
    known = {known: its for its, _, known in (line.partition("  ") for line in sums.read_text().splitlines())}
    known[name] = digest
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(known.items())))


def _state(cards: Path, name: str, digest: str) -> None:
    row = f"| `{name}` | `"
    for path in sorted(cards.glob("*.md")):
        lines = path.read_text(encoding="utf-8").split("\n")
        if any(line.startswith(row) for line in lines):
            stated = [f"{row}{digest}` |" if line.startswith(row) else line for line in lines]
            path.write_text("\n".join(stated), encoding="utf-8")
            return
    msg = f"no card of models/cards lists {name}: add the row '{row}` |' to its table"
    raise FileNotFoundError(msg)
