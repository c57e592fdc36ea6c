"""`wardlink recordings get`, against a publisher of our own on a real socket."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

WARDLINK = Path(sys.executable).with_name("wardlink")
DATA = bytes(range(256)) * 64
FILES = {"100.hea": b"100 1 360 8192\n100.dat 16\n", "100.dat": DATA, "100.atr": b"\x00\x00", "RECORDS": b"100\n"}

pytestmark = pytest.mark.integration


@dataclass
class Publisher:
    """What it serves, what it was asked for, and where it breaks off."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    break_off_after: int | None = None

    def publish(self, folder: str, files: dict[str, bytes]) -> None:
        sums = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in files.items())
        self.files.update({f"/{folder}/{name}": data for name, data in files.items()})
        self.files[f"/{folder}/SHA256SUMS.txt"] = sums.encode()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    state = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            span = self.headers.get("Range")
            state.asked.append((self.path, span))
            data = state.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            begin = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
            if span and begin >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(data) - begin))
            self.end_headers()
            cut = state.break_off_after if self.path.endswith(".dat") else None
            self.wfile.write(data[begin : begin + cut if cut is not None else None])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}/"
    state.publish("mitdb/1.0.0", FILES)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def get(publisher: Publisher, to: Path, name: str = "mitdb") -> subprocess.CompletedProcess[str]:
    command = [str(WARDLINK), "recordings", "get", name, "--to", str(to), "--from", publisher.address]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_database_lands_in_its_folder_with_its_attribution(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/mitdb/1.0.0/SHA256SUMS.txt"] += (
        hashlib.sha256(b"x").hexdigest().encode() + b" mitdbdir/intro.htm\n"
    )
    done = get(publisher, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "mitdb").iterdir() if path.suffix != ".md"} == FILES
    words = (tmp_path / "mitdb" / "ATTRIBUTION.md").read_text()
    assert "ODC-BY" in words
    assert "Moody GB, Mark RG" in words


def test_a_database_in_a_folder_of_its_project_lands_without_it(publisher: Publisher, tmp_path: Path) -> None:
    inside = {f"data/{name}": data for name, data in FILES.items()}
    publisher.publish("ludb/1.0.1", {**inside, "code/other.hea": b"no"})
    assert get(publisher, tmp_path, "ludb").returncode == 0
    assert sorted(path.name for path in (tmp_path / "ludb").iterdir()) == sorted([*FILES, "ATTRIBUTION.md"])


def test_of_a_database_of_thousands_of_records_those_that_are_played_are_fetched(
    publisher: Publisher, tmp_path: Path
) -> None:
    names = ("A0005.hea", "A0005.mat", "A0001.hea", "A0001.mat", "RECORDS")
    publisher.publish("challenge-2020/1.0.2", {f"training/cpsc_2018/g1/{name}": name.encode() for name in names})
    assert get(publisher, tmp_path, "ecg12").returncode == 0
    assert sorted(path.name for path in (tmp_path / "ecg12").iterdir()) == ["A0005.hea", "A0005.mat", "ATTRIBUTION.md"]
    assert "CC BY 4.0" in (tmp_path / "ecg12" / "ATTRIBUTION.md").read_text()


def test_what_is_there_is_not_fetched_again(publisher: Publisher, tmp_path: Path) -> None:
    get(publisher, tmp_path)
    publisher.asked.clear()
    assert get(publisher, tmp_path).returncode == 0
    assert publisher.asked == [("/mitdb/1.0.0/SHA256SUMS.txt", None)]


def test_a_download_that_broke_off_goes_on_where_it_stopped(publisher: Publisher, tmp_path: Path) -> None:
    publisher.break_off_after = 1000
    done = get(publisher, tmp_path)
    assert done.returncode == 1
    assert "100.dat broke off" in done.stderr
    assert "the same command goes on from there" in done.stderr
    publisher.break_off_after = None
    publisher.asked.clear()
    assert get(publisher, tmp_path).returncode == 0
    assert ("/mitdb/1.0.0/100.dat", "bytes=1000-") in publisher.asked
    assert (tmp_path / "mitdb" / "100.dat").read_bytes() == DATA


def test_a_part_of_something_else_is_thrown_away(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "100.dat.part").write_bytes(b"\xff" * 20_000)
    (tmp_path / "mitdb" / "100.hea.part").write_bytes(b"\xff")
    assert get(publisher, tmp_path).returncode == 0
    assert (tmp_path / "mitdb" / "100.dat").read_bytes() == DATA
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_that_is_not_what_its_checksum_says_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["/mitdb/1.0.0/100.dat"] = DATA[::-1]
    done = get(publisher, tmp_path)
    assert done.returncode == 1
    assert "has not the checksum" in done.stderr
    assert not (tmp_path / "mitdb" / "100.dat").exists()


@pytest.mark.parametrize("path", ["../../evil.hea", "/etc/evil.hea"])
def test_a_path_that_leaves_the_folder_is_refused(publisher: Publisher, tmp_path: Path, path: str) -> None:
    publisher.files["/mitdb/1.0.0/SHA256SUMS.txt"] = f"{'0' * 64} {path}\n".encode()
    done = get(publisher, tmp_path)
    assert done.returncode == 1
    assert "line 1, is not a checksum and a path" in done.stderr


def test_a_publisher_without_the_database_is_named(publisher: Publisher, tmp_path: Path) -> None:
    done = get(publisher, tmp_path, "vfdb")
    assert done.returncode == 1
    assert "vfdb/1.0.0/SHA256SUMS.txt answers 404" in done.stderr


def test_a_publisher_that_cannot_be_reached_is_named(publisher: Publisher, tmp_path: Path) -> None:
    publisher.address = "http://127.0.0.1:1/"
    done = get(publisher, tmp_path)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
