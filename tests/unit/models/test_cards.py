"""Model cards: each file of models/weights is the one that a card states, and a trained one takes its place there."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.signal import card
from models.signal.card import WeightsError
from models.training import shelf
from models.training.procedures import PROCEDURES, train

WARDLINK = Path(sys.executable).with_name("wardlink")
NAMES = sorted(path.stem for path in (shelf.MODELS / "cards").glob("*.md"))


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WARDLINK), "models", *words], capture_output=True, text=True, check=False, timeout=60, cwd=cwd
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_a_card_are_there_and_of_its_version(name: str):
    stated = card.of(name)
    for file, sha256 in stated.sha256.items():
        data = card.checked(card.read(file), sha256)
        if file.endswith(".json"):
            assert json.loads(data)["version"] == stated.version


def test_every_file_of_weights_is_stated_once_and_nothing_else_is():
    weights = shelf.MODELS / "weights"
    stated = [file for name in NAMES for file in card.of(name).sha256]
    assert sorted(stated) == sorted(p.name for p in weights.iterdir() if p.suffix in {".json", ".tflite"})
    folds = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (weights / "folds").iterdir()}
    folds.pop("SHA256SUMS")
    assert dict(card.of_folds()) == folds


def test_one_changed_byte_is_refused_with_what_to_do():
    data = card.read("lethal.json")
    with pytest.raises(WeightsError, match="install the package again"):
        card.checked(data + b" ", card.of("lethal").sha256["lethal.json"])


@pytest.mark.parametrize("text", ["", "# Model card: x, version 1", "| `a.json` | `" + 64 * "0" + "` |"])
def test_a_card_without_a_version_or_a_file_is_refused(text: str):
    with pytest.raises(WeightsError, match="a model card begins with"):
        card.parse(text)


def test_a_trained_file_and_its_hash_take_the_place_of_the_ones_before(tmp_path: Path):
    models = tmp_path / "models"
    shutil.copytree(shelf.MODELS / "cards", models / "cards")
    (models / "weights" / "folds").mkdir(parents=True)
    shutil.copy(shelf.MODELS / "weights" / card.FOLDS, models / "weights" / card.FOLDS)
    before = card.parse((models / "cards" / "lethal.md").read_text())
    assert "lethal.json 3 bytes SHA-256" in shelf.put("lethal.json", b"new", models)
    shelf.put("folds/lethal-419.json", b"fold", models)
    after = card.parse((models / "cards" / "lethal.md").read_text())
    assert after.sha256["lethal.json"] == hashlib.sha256(b"new").hexdigest()
    assert after.sha256["lethal-meaning.json"] == before.sha256["lethal-meaning.json"]
    lines = (models / "weights" / card.FOLDS).read_text().splitlines()
    assert f"{hashlib.sha256(b'fold').hexdigest()}  lethal-419.json" in lines
    assert len(lines) == len(card.of_folds())
    with pytest.raises(FileNotFoundError, match="no card of models/cards lists"):
        shelf.put("other.json", b"", models)
    assert not (models / "weights" / "other.json").exists()


def test_the_command_lists_what_is_installed():
    done = run("list")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == sum(len(card.of(name).sha256) for name in NAMES)
    assert "NOT THIS FILE" not in done.stdout


def test_the_command_names_what_it_knows_and_what_is_missing(tmp_path: Path):
    done = run("train", "unknown")
    assert (done.returncode, done.stdout) == (2, "")
    assert all(name in done.stderr for name in PROCEDURES)
    done = run("train", "lethal", "--recordings", str(tmp_path))
    assert done.returncode == 1
    assert "has no vfdb, mitdb, nstdb" in done.stderr
    assert "wardlink recordings get" in done.stderr
    with pytest.raises(FileNotFoundError):
        next(train("lethal", tmp_path, folds=False))
