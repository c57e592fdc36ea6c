"""What can be made to go wrong in a running demo, asked for by another command over a socket in the demo's folder.

A request is one line of JSON, `{"fault": NAME, "bed": LABEL, "seconds": N}`; the answer is one line, `{"said": TEXT}` or
`{"error": TEXT}`. Who may reach the socket is who may enter the folder.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, cast

from wardlink.demo.installation import DemoError, Installation
from wardlink.demo.rigs.rig import DEVICE_FAULTS, Line
from wardlink.processes import ProcessError

STOP_HUB: Final = "stop-hub"
FAULTS: Final = (*DEVICE_FAULTS, STOP_HUB)
LONGEST_S: Final = 3600.0

_SOCKET: Final = "control"
_MOST_BYTES: Final = 4096
_PATIENCE_S: Final = 2.0
_ANSWER_WITHIN_S: Final = 60.0


def ask(folder: Path, fault: str, bed: str, seconds: float) -> str:
    """Ask the demo that runs in `folder`; what it said. DemoError: it does not run, or it refused."""
    request = json.dumps({"fault": fault, "bed": bed, "seconds": seconds}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_ANSWER_WITHIN_S)
        try:
            line.connect(str(folder / _SOCKET))
            line.sendall(request)
            with line.makefile() as answers:
                answer: Mapping[str, str] = json.loads(answers.readline(_MOST_BYTES))
        except (OSError, ValueError) as error:
            msg = f"No demo runs in {folder}: start it with `wardlink demo`, and give both the same --data."
            raise DemoError(msg) from error
    if "error" in answer:
        raise DemoError(answer["error"])
    return answer["said"]


class Faults:
    """The demo's end: `attend` does what has become due and answers who asks. Use as a context."""

    def __init__(self, site: Installation, folder: Path) -> None:
        """Listens from now on."""
        self._site, self._path = site, folder / _SOCKET
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen()
        self._listener.setblocking(False)
        self._due: list[tuple[float, Callable[[], None]]] = []
        # The ends of what lasts, by process and line: what is asked for once more lasts longer, and does not end and begin.
        self._ends: dict[tuple[str, str], tuple[float, Callable[[], None]]] = {}
        self.hub_is_stopped = False

    def __enter__(self) -> Self:
        """It listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody can ask any more."""
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def attend(self, tell: Callable[[str], None]) -> None:
        """Once; `tell` gets a sentence for each thing that was done."""
        now_s = time.monotonic()
        for due_s, act in [entry for entry in self._due if entry[0] <= now_s]:
            self._due.remove((due_s, act))
            try:
                act()
            except (DemoError, ProcessError) as error:
                tell(str(error))
        with suppress(BlockingIOError):
            line, _ = self._listener.accept()
            with line:
                line.settimeout(_PATIENCE_S)
                self._answer(line, tell)

    def _answer(self, line: socket.socket, tell: Callable[[str], None]) -> None:
        answer: dict[str, str]
        try:
            with line.makefile() as lines:
                said = self._do(_request(lines.readline(_MOST_BYTES)), tell)
        except (DemoError, ProcessError) as error:
            answer = {"error": str(error)}
        except OSError:
            return  # who asked has gone
        else:
            tell(said)
            answer = {"said": said}
        with suppress(OSError):
            line.sendall(json.dumps(answer).encode() + b"\n")

    def _do(self, request: tuple[str, str, float], tell: Callable[[str], None]) -> str:
        fault, bed, seconds = request
        if fault == STOP_HUB:
            return self._stop_hub(seconds, tell)
        rigs = [rig for b in self._site.beds if b.label == bed for rig in b.rigs]
        if not rigs:
            labels = ", ".join(b.label for b in self._site.beds)
            msg = f"There is no bed {bed!r}; the demo has {labels}."
            raise DemoError(msg)
        begun: list[str] = []
        for rig in rigs:
            lines = rig.fault(fault, seconds)
            for line in lines:
                self._say(rig.name, line)
            begun += [rig.name] if lines else []
        if not begun:
            able = [b.label for b in self._site.beds if any(rig.fault(fault, seconds) for rig in b.rigs)]
            msg = f"No device of bed {bed} can have {fault}; those of {', '.join(able) or 'no bed'} can."
            raise DemoError(msg)
        return f"bed {bed}: {fault} for {seconds:g} s ({', '.join(begun)})"

    def _say(self, process: str, line: Line) -> None:
        name = process, line.text
        end = self._ends.get(name)
        lasts = end is not None and end in self._due
        if line.after_s > 0:
            if lasts and end is not None:
                self._due.remove(end)
            self._ends[name] = time.monotonic() + line.after_s, lambda: self._site.processes.say(*name)
            self._due.append(self._ends[name])
        elif not lasts:
            self._site.processes.say(*name)

    def _stop_hub(self, seconds: float, tell: Callable[[str], None]) -> str:
        if self.hub_is_stopped:
            msg = "The hub is stopped already; it starts again by itself."
            raise DemoError(msg)
        self._site.stop_hub()
        self.hub_is_stopped = True

        def start() -> None:
            self._site.start_hub()
            self.hub_is_stopped = False
            tell("the hub runs again")

        self._due.append((time.monotonic() + seconds, start))
        return f"the hub is stopped for {seconds:g} s"


def _request(line: str) -> tuple[str, str, float]:
    try:
        asked = cast("Mapping[str, object]", json.loads(line))
        fault, bed, seconds = str(asked["fault"]), str(asked.get("bed", "")), float(str(asked["seconds"]))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        msg = f"{line[:80]!r}: expected a line of JSON with fault, bed and seconds"
        raise DemoError(msg) from error
    if fault not in FAULTS:
        msg = f"fault {fault!r}: expected one of {', '.join(FAULTS)}"
        raise DemoError(msg)
    if not 0 < seconds <= LONGEST_S:
        msg = f"{seconds:g} s: expected more than 0 and at most {LONGEST_S:.0f}"
        raise DemoError(msg)
    return fault, bed, seconds
