"""Runs a program to its end and says clearly why it failed; used by all parts of the local stack."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from wardlink.local.errors import StackError, failed


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    environ: Mapping[str, str],
    cwd: Path | str = "/",
    timeout_s: float = 600.0,
) -> str:
    """Run `command` and return what it printed (both streams).

    Raises `StackError` with the program's last lines and the advice for them; `what` is the first line of that.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise failed(what, str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"{what}: no end after {timeout_s:.0f} s.", f"run it by hand to see: {' '.join(words)}"
        ) from error
    if done.returncode != 0:
        raise failed(what, done.stdout)
    return done.stdout
