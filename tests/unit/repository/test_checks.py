"""The checks of `make test`: what they count, pass and refuse."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from grimp import ImportGraph
from importlinter import ContractCheck

from tests.checks.__main__ import in_memory
from tests.checks.import_contract import AllowedContract
from tests.checks.licences import judge
from tests.checks.ratchet import COMMITTED, compare, count, lowest, raised

REQUIREMENTS = sorted(Path("requirements").glob("*.txt"))


def names(file: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", Path(f"requirements/{file}.txt").read_text(), re.MULTILINE))


def test_silencing_comments_and_any_are_counted_where_they_stand() -> None:
    text = (
        "from typing import Any\n"
        "x: Any = 1  # type: ignore[assignment]\n"
        "def f(a: dict[str, Any]) -> None:  # noqa: D103\n"
        '    """Any word in a text, # noqa too, counts nothing."""\n'
        "    g(a)  # pyright: ignore[reportCall]\n"
    )
    assert count(text) == {"type: ignore": 1, "pyright: ignore": 1, "noqa": 1, "Any": 2}


@pytest.mark.parametrize(("now", "words"), [(3, ["mend the cause"]), (2, []), (1, ["--lower"])])
def test_a_count_may_neither_rise_nor_fall_unnoticed(now: int, words: list[str]) -> None:
    sentences = compare({"Any": 2}, {"Any": now})
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))


class Repository:
    """A small git repository, in which counts are committed one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q")

    def git(self, *words: str) -> str:
        who = {f"GIT_{one}_{what}": "test@example.org" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env={**os.environ, **who, **alone},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, counts: dict[str, int]) -> str:
        file = self.folder / COMMITTED
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(counts))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "counts")
        return self.git("rev-parse", "HEAD")


def test_a_count_that_was_written_higher_than_it_has_been_is_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({"Any": 1, "noqa": 1})  # of a time that does not count
    since = repository.commit({"Any": 5, "noqa": 7})
    repository.commit({"Any": 3, "noqa": 6})
    repository.commit({"Any": 4, "noqa": 6})
    found = lowest(tmp_path, since)
    assert found == {"Any": 3, "noqa": 6}
    (sentence,) = raised({"Any": 4, "noqa": 6}, found)
    assert "write 3" in sentence
    assert raised({"Any": 3, "noqa": 5}, found) == []


def test_the_counts_that_history_begins_with_hold_too(tmp_path: Path) -> None:
    since = Repository(tmp_path).commit({"Any": 5})
    assert raised({"Any": 6}, lowest(tmp_path, since)) != []


def test_without_a_history_the_file_alone_counts(tmp_path: Path) -> None:
    assert lowest(tmp_path) == {}, "an archive"
    Repository(tmp_path).commit({"Any": 5})
    assert lowest(tmp_path) == {}, "another history, or one that was cut"


@pytest.mark.parametrize(
    "stated",
    [
        ["MIT"],
        ["Apache-2.0 OR BSD-3-Clause"],
        ["BSD License"],
        ["GNU Lesser General Public License v3 (LGPLv3)"],
        ["LGPL-3.0-only"],
        ["GPL-2.0-only OR MIT"],
        ["GNU General Public License (GPL)", "MIT License"],
        ["MPL-2.0 AND MIT"],
        ["PSF-2.0"],
    ],
)
def test_permissive_lesser_and_chosen_licences_pass(stated: list[str]) -> None:
    assert judge("somepackage", stated) is None


@pytest.mark.parametrize(
    "stated",
    [
        ["GPL-3.0-or-later"],
        ["GNU General Public License v2 (GPLv2)"],
        ["GNU Affero General Public License v3"],
        ["MIT AND GPL-3.0-only"],
        ["Proprietary"],
        ["see LICENSE file"],
        [""],
        [],
    ],
)
def test_gpl_only_and_unknown_licences_are_refused(stated: list[str]) -> None:
    complaint = judge("somepackage", stated)
    assert complaint is not None
    assert "somepackage" in complaint


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_a_requirement_file_names_no_registry_and_hashes_everything(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"://|file:|--index|--extra-index|--find-links", text)
    entries = re.findall(r"^[a-zA-Z0-9].*?(?=^[a-zA-Z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert entries
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_a_gateway_installs_no_hub_dependency_and_the_reverse() -> None:
    assert names("edge").isdisjoint(
        {"fastapi", "uvicorn", "psycopg", "jinja2", "procrastinate", "argon2-cffi", "httpx"}
    )
    assert names("hub").isdisjoint({"pyserial", "pyserial-asyncio-fast", "httpx"})
    assert names("edge").isdisjoint({"scipy", "pandas"})


def test_what_is_shipped_is_what_was_tested() -> None:
    tested = set(re.findall(r"^\S+==\S+", Path("requirements/dev.txt").read_text(), re.MULTILINE))
    for file in ("edge", "hub", "run", "bootstrap"):
        shipped = set(re.findall(r"^\S+==\S+", Path(f"requirements/{file}.txt").read_text(), re.MULTILINE))
        assert shipped <= tested, file


@pytest.fixture
def graph() -> ImportGraph:
    graph = ImportGraph()
    for module in ("m", "m.room", "m.room.a", "m.room.b", "p", "p.record", "p.decoder", "x"):
        graph.add_module(module)
    graph.add_import(importer="m.room.a", imported="m.room.b")
    graph.add_import(importer="m.room.a", imported="p.record", line_number=3, line_contents="import p.record")
    return graph


def allowed(graph: ImportGraph, **options: object) -> ContractCheck:
    contract = AllowedContract(name="c", session_options={}, contract_options={"source": "m.room", **options})
    return contract.check(graph, verbose=False)


def test_a_room_may_import_itself_and_what_is_allowed(graph: ImportGraph) -> None:
    assert allowed(graph, allowed=["p.record"]).kept


def test_any_other_import_of_a_room_is_refused_with_its_line(graph: ImportGraph) -> None:
    graph.add_import(importer="m.room.b", imported="p.decoder", line_number=7, line_contents="import p.decoder")
    check = allowed(graph, allowed=["p.rec*"])
    assert not check.kept
    assert check.metadata["refused"] == [("m.room.b", "p.decoder", 7)]


def test_with_within_other_packages_are_free(graph: ImportGraph) -> None:
    graph.add_import(importer="m.room.b", imported="x", line_number=1, line_contents="import x")
    assert allowed(graph, within="p", allowed=["p.record"]).kept
    assert not allowed(graph, allowed=["p.record"]).kept


@pytest.mark.parametrize(
    ("available_kb", "limit", "is_taken"),
    [(2048, "max", True), (512, "max", False), (2048, "2097152", True), (2048, "524288", False)],
)
def test_tests_write_into_memory_where_there_is_room_for_it(
    tmp_path: Path, available_kb: int, limit: str, is_taken: bool
) -> None:
    meminfo, own = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text(f"MemTotal:  99 kB\nMemAvailable:   {available_kb} kB\n")
    own.write_text(limit + "\n")
    assert in_memory(tmp_path, meminfo, [tmp_path / "nothing", own], 1 << 20) == (tmp_path if is_taken else None)


def test_where_there_is_no_file_system_in_memory_tests_write_where_they_always_do(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\n")
    assert in_memory(tmp_path / "shm", room_bytes=1) is None
    assert in_memory(tmp_path, tmp_path / "meminfo", room_bytes=1) is None
    assert in_memory(tmp_path, tmp_path / "nothing", room_bytes=1) is None
