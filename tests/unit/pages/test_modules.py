"""The ES modules: their own tests under node, their types under tsc, their size."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wardlink.web.catalogue import LANGUAGES, render

HERE = Path(__file__).parent
WEB = HERE.parents[2] / "wardlink" / "web"
BUDGET_BYTES = 150_000


def node(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("node")
    environ = {"PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "TZ": "UTC"}
    return subprocess.run(
        ["node", *map(str, words)], env=environ, cwd=WEB, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_modules_pass_their_own_tests() -> None:
    done = node("--test", HERE / "modules.test.mjs")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_modules_pass_the_type_checker() -> None:
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    assert compiler.exists(), "the JavaScript parts are missing: run `make setup`"
    done = node(compiler, "-p", "tsconfig.json")
    assert done.returncode == 0, done.stdout


def test_the_scripts_of_a_page_are_within_the_budget() -> None:
    """Every module of ours, which no page loads all of, and the chart library with its style."""
    static = WEB / "static"
    loaded = [*static.glob("*.js"), static / "vendor" / "uplot.js", static / "vendor" / "uplot.css"]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in loaded}
    assert sum(sizes.values()) < BUDGET_BYTES, sizes


def test_no_module_asks_another_host_or_makes_markup_of_text() -> None:
    for path in (WEB / "static").glob("*.js"):
        source = path.read_text()
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", source), path.name
        assert not set(re.findall(r"https?://[\w./]+", source)) - {"http://www.w3.org/2000/svg"}, path.name


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("message", "params"),
    [
        ("plain", {}),
        ("{a} · {b}", {"a": "x", "b": 2}),
        ("{n, plural, =0 {none} one {# bed} other {# beds}}!", {"n": 0}),
        ("{n, plural, =0 {none} one {# bed} other {# beds}}!", {"n": 1}),
        ("{n, plural, =0 {none} one {# bed} other {# beds}}!", {"n": 2}),
        ("{s, select, a {A {x}} other {O}}", {"s": "a", "x": "y"}),
        ("{s, select, a {A {x}} other {O}} {n} #", {"s": "b", "x": "y", "n": 0.5}),
    ],
)
def test_the_browser_renders_a_message_as_the_server_does(
    message: str, params: dict[str, str | float], lang: str
) -> None:
    program = (
        f'import {{ render }} from "{(WEB / "static" / "words.js").as_uri()}";'
        f"process.stdout.write(render({json.dumps(message)}, {json.dumps(params)}, {json.dumps(lang)}));"
    )
    done = node("--input-type=module", "-e", program)
    assert (done.returncode, done.stdout) == (0, render(message, lang, params)), done.stderr
