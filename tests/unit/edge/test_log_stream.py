"""A log whose file takes nothing, as on a full disk: who writes to it goes on, and the loss is told."""

import io
import json
import resource
from pathlib import Path
from typing import TextIO, cast

import structlog

from models.log_stream import LogStream


def test_what_a_file_refuses_ends_nobody_and_is_told_when_it_takes_lines_again(tmp_path: Path):
    path = tmp_path / "log"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("w", buffering=1) as file:
        stream = LogStream(lambda: file)
        log = structlog.wrap_logger(
            structlog.WriteLogger(cast("TextIO", stream)), processors=[structlog.processors.JSONRenderer()]
        )
        log.info("first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))  # the kernel says EFBIG
        try:
            for number in range(2000):  # more than any buffer between
                log.warning("refused", number=number, why="x" * 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert stream.lost_lines > 1000
        lost = stream.lost_lines
        log.info("again")
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith('{"') and line.endswith("}")]
    assert lines[0]["event"] == "first"
    assert [line["lines"] for line in lines if line["event"] == "log-lines-lost"] == [lost]
    assert "again" in path.read_text()


def test_its_target_is_what_it_is_at_each_write():
    first, second = io.StringIO(), io.StringIO()
    targets = [first, second]
    stream = LogStream(lambda: targets[0])
    stream.write("a\n")
    del targets[0]
    stream.write("b\n")
    assert (first.getvalue(), second.getvalue()) == ("a\n", "b\n")
