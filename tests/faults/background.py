"""A load that goes on at the ward's hub while faults are done to it: two more gateways by `wardlink load`."""

import json
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.ward import FaultWard
from wardlink.demo.installation import command, plain_environment
from wardlink.load.hub import missing

_GATEWAYS, _BEDS = 2, 4
_LONGEST_MINUTES = 7 * 24 * 60
_ENDS_WITHIN_S = 120.0
_BEGINS_WITHIN_S = 60.0
_PLAYING = "gateways play"


@dataclass
class Background:
    """`wrong` is empty when all of it is stored; known behind the end."""

    said: str = ""
    wrong: list[str] = field(default_factory=list[str])


@contextmanager
def loaded(ward: FaultWard, folder: Path) -> Generator[Background]:
    """Load the hub of the ward until the end, and compare by hash what was sent with what is stored."""
    ward.hub("device", "policy", "open")
    tokens = [ward.hub("gateway", "add", f"background-{n}").strip().splitlines()[0] for n in range(_GATEWAYS)]
    (folder / "tokens").write_text("\n".join(tokens))
    words = ["--gateways", str(_GATEWAYS), "--beds", str(_BEDS), "--minutes", str(_LONGEST_MINUTES), "--processes", "1"]
    words += ["--tokens", str(folder / "tokens"), "--json", str(folder / "load.json")]
    log = folder / "load.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("load", *words), env=plain_environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    background = Background()
    try:
        until_s = time.monotonic() + _BEGINS_WITHIN_S
        while _PLAYING not in log.read_text() and process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.2)  # they enrol at a hub that is well
        yield background
        process.send_signal(signal.SIGINT)
        background.said, _ = process.communicate(timeout=_ENDS_WITHIN_S)
        if process.returncode:
            background.wrong.append(
                f"wardlink load ended with {process.returncode}: {background.said}{log.read_text()[-2000:]}"
            )
        else:
            sources = json.loads((folder / "load.json").read_text())["sources"]
            until_s = time.monotonic() + _ENDS_WITHIN_S
            while (wrong := missing(ward.database.admin_url, sources)) and time.monotonic() < until_s:
                time.sleep(1)
            background.wrong += wrong
    except subprocess.TimeoutExpired:
        background.wrong.append(f"wardlink load does not end in {_ENDS_WITHIN_S:.0f} s")
    finally:
        process.kill()
        process.communicate()
