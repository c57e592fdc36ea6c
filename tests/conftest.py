"""Loads the plugins of this suite: the requirement trace, the skip guard, the recordings, and every module of tests/fixtures."""

from pathlib import Path

HERE = Path(__file__).parent

pytest_plugins = [
    "pytester",
    "tests.plugins.requirements",
    "tests.plugins.skip_guard",
    "tests.plugins.recordings",
    *(f"tests.fixtures.{path.stem}" for path in sorted((HERE / "fixtures").glob("[!_]*.py"))),
]
