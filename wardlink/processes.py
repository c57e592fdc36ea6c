"""Child processes of a command: started with their own log, watched, and ended in order by their process id.

Leaves to the caller what the processes are.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_LAST_LINES = 12
_LOOK_AGAIN_S = 0.05


class ProcessError(RuntimeError):
    """A process ended by itself; the message has the last lines that it wrote."""


class Processes:
    """Processes that end together, the last started first. Use as a context."""

    def __init__(self, logs: Path) -> None:
        """`logs`: the folder for one log file a process, made if it is not there."""
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        self.stop_all()

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None, *, listens: bool = False
    ) -> int:
        """Start one in a session of its own, so that Ctrl-C reaches this command first; its process id.

        `listens`: `say` may write to its standard input.
        """
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if listens else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
        self._running[name] = process
        return process.pid

    def say(self, name: str, line: str) -> None:
        """Write a line to a process that was started with `listens`; ProcessError when it does not hear any more."""
        process = self._running.get(name)
        if process is None or process.stdin is None:
            raise ProcessError(f"{name} does not run, or does not listen")
        try:
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
        except OSError as error:
            raise ProcessError(f"{name} does not hear any more: {error}") from error

    def pid(self, name: str) -> int:
        """The process id of one that runs."""
        return self._running[name].pid

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._logs / f"{name}.log"

    def check(self) -> None:
        """Raise ProcessError when one of them has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ProcessError(
                    f"{name} ended with {process.returncode}. Its last lines ({self.log(name)}):\n{self._tail(name)}"
                )

    def kill(self, name: str) -> None:
        """SIGKILL, as a power cut would; for tests of what survives."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _close(process)

    def stop(self, name: str, patience_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL to whatever of it is left."""
        process = self._running.pop(name)
        _close(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing of its session is left
        until_s = time.monotonic() + patience_s
        while time.monotonic() < until_s and _group_lives(process.pid):
            time.sleep(_LOOK_AGAIN_S)

    def stop_all(self) -> None:
        """End all, the last started first."""
        for name in reversed(list(self._running)):
            self.stop(name)

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
