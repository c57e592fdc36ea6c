"""The command `wardlink`: quick to answer, and clear about what is missing."""

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import typer

from wardlink.cli import TABLE, SubCommand

WARDLINK = Path(sys.executable).with_name("wardlink")


def run(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(WARDLINK)] if code is None else [sys.executable, "-c", code]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=30)


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    probe = (
        "import sys\nfrom wardlink.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('hub','edge','numpy','grpc','psycopg','fastapi') or m.startswith('wardlink.')])"
    )
    done = run("--help", code=probe)
    assert "stack" in done.stdout
    assert "recordings" in done.stdout
    assert done.stdout.splitlines()[-1] == "['wardlink.cli']"


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_every_row_of_the_table_leads_to_a_command(row: SubCommand) -> None:
    module, attribute = row.target.split(":")
    assert isinstance(getattr(import_module(module), attribute), typer.Typer)


def test_help_answers_at_once() -> None:
    fastest = min(_seconds() for _ in range(5))
    assert fastest < 3 * _bare_seconds() + 0.3, "a bound relative to this machine's bare interpreter"


def test_the_version_is_that_of_the_distribution() -> None:
    assert run("--version").stdout == "wardlink 0.1.0\n"


def test_arguments_are_handed_over_untouched() -> None:
    done = run("recordings", "get", "no-such-database", "--to", "/nonexistent")
    assert done.returncode == 2
    assert "no-such-database" in done.stderr
    assert "mitdb" in done.stderr


def test_the_help_of_a_sub_command_is_its_own() -> None:
    done = run("recordings", "get", "--help")
    assert done.returncode == 0
    assert "wardlink recordings get" in done.stdout
    assert "--from" in done.stdout


def test_an_unknown_command_is_named() -> None:
    done = run("wrad")
    assert done.returncode == 2
    assert "wrad" in done.stderr


def test_a_missing_extra_is_named_with_the_way_to_install_it() -> None:
    without = "import sys\nsys.modules['httpx'] = None\nfrom wardlink.cli import main\nmain()"
    done = run("recordings", "list", code=without)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "wardlink recordings: the package 'httpx' is not installed; "
        "this command needs the extra 'recordings': pip install 'wardlink[recordings]'"
    )


def _seconds() -> float:
    began = time.perf_counter()
    run("--help")
    return time.perf_counter() - began


def _bare_seconds() -> float:
    began = time.perf_counter()
    run(code="pass")
    return time.perf_counter() - began
