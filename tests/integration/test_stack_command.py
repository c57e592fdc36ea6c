"""`wardlink stack` as an operator types it: up, status, down, and its exit statuses."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wardlink.local.errors import StackError
from wardlink.local.npm import WEB, install_javascript
from wardlink.local.places import Places

pytestmark = pytest.mark.integration


def stack(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from wardlink.local.commands import app; app()", *map(str, words)]
    own = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**own, **environ})


def test_the_stack_goes_up_says_so_and_comes_down(usual_places: Places, short_folder: Callable[[], Path]):
    folders = ("--data", short_folder(), "--cache", usual_places.cache)
    before = stack("status", *folders)
    assert (before.returncode, before.stdout.split()[0]) == (3, "down")
    try:
        up = stack("up", *folders)
        assert up.returncode == 0, up.stderr
        assert " s  PostgreSQL started as " in up.stdout
        status = stack("status", *folders)
        assert (status.returncode, status.stdout.split()[0]) == (0, "up")
        assert "TimescaleDB 2." in status.stdout
    finally:
        down = stack("down", *folders)
    assert "PostgreSQL stopped" in down.stdout
    assert stack("status", *folders).returncode == 3
    assert "Nothing of ours was running" in stack("down", *folders).stdout


def test_an_error_is_a_sentence_and_what_to_do_without_a_traceback(short_folder: Callable[[], Path]):
    failed = stack("up", "--data", short_folder(), DATABASE_URL="mysql://a:hidden@b/c")
    assert failed.returncode == 1
    assert "What to do: write it as postgresql://" in failed.stderr
    assert "hidden" not in failed.stderr + failed.stdout
    assert "Traceback" not in failed.stderr


def test_a_machine_without_any_way_to_a_database_is_told_all_four(short_folder: Callable[[], Path]):
    # A PATH that has neither apt-get nor pg_config; an installed server in Debian's own place would still be found.
    empty = short_folder()
    failed = stack("up", "--data", short_folder(), "--cache", empty, PATH=str(empty))
    assert failed.returncode == 1
    assert "apt-get, apt-config, dpkg, dpkg-deb not found" in failed.stderr
    assert all(way in failed.stderr for way in ("(1)", "(2)", "(3)", "(4)"))


def test_a_missing_lock_of_the_javascript_parts_is_told(usual_places: Places, short_folder: Callable[[], Path]):
    with pytest.raises(StackError, match="take it back from git"):
        install_javascript(usual_places, os.environ, print, web=short_folder())


def test_the_lock_of_the_javascript_parts_names_no_registry_and_has_a_hash_for_each():
    text = (WEB / "package-lock.json").read_text()
    assert "://" not in text
    parts = {name: part for name, part in json.loads(text)["packages"].items() if name}
    assert parts
    assert all(part["integrity"].startswith("sha512-") for part in parts.values())


def test_what_browsers_load_of_the_javascript_parts_is_copied_with_its_licence(usual_places: Places):
    modules = install_javascript(usual_places, os.environ, print)
    vendor = WEB / "static" / "vendor"
    assert (vendor / "uplot.js").read_bytes() == (modules / "uplot" / "dist" / "uPlot.iife.min.js").read_bytes()
    assert (vendor / "uplot.css").read_bytes() == (modules / "uplot" / "dist" / "uPlot.min.css").read_bytes()
    assert "MIT" in (vendor / "uplot.LICENSE").read_text()
    (vendor / "uplot.js").unlink()
    install_javascript(usual_places, os.environ, print)
    assert (vendor / "uplot.js").exists()
