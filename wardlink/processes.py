"""Child processes of a command: started with their own log, watched, and ended together by their process id.

Leaves to the caller what the processes are.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, Self

# What a user, a service manager and a terminal that is closed send to end a command.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_LAST_LINES = 12
_LOOK_AGAIN_S = 0.05


class ProcessError(RuntimeError):
    """A process ended by itself; the message has the last lines that it wrote."""


def end_by_signal(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at the first signal of ENDING, and hear no second one: it must not break the end that has begun.

    For `signal.signal`, in a command that ends itself.
    """
    for each in ENDING:
        signal.signal(each, _unheard)
    signal.default_int_handler(number, frame)


@contextmanager
def undisturbed() -> Generator[None]:
    """Hear no signal of ENDING meanwhile: what is ended here is ended wholly. Elsewhere than in the main thread none comes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _unheard) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unheard(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Not SIG_IGN: a process that is started meanwhile would have it from us."""


class Processes:
    """Processes that end together. Use as a context."""

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

    def ended(self, name: str) -> int | None:
        """The exit status of one that was started and has ended by itself; None for any other."""
        process = self._running.get(name)
        return None if process is None else process.poll()

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
        """SIGTERM, then SIGKILL to whatever of it is left. ProcessError when something of it lives on."""
        self._stop([name], patience_s)

    def stop_all(self, *first: str, patience_s: float = 10.0) -> None:
        """End `first`, while what they speak with is still there, then all others at once. ProcessError as `stop`."""
        self._stop([name for name in first if name in self._running], patience_s)
        self._stop(list(reversed(self._running)), patience_s)

    def _stop(self, names: Sequence[str], patience_s: float) -> None:
        ending = {name: self._running.pop(name) for name in names}
        for process in ending.values():
            _close(process)
            process.terminate()  # does nothing to one that has ended
        until_s = time.monotonic() + patience_s
        for process in ending.values():
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in ending.values():
            with suppress(ProcessLookupError):  # nothing of its session is left
                os.killpg(process.pid, signal.SIGKILL)
        until_s = time.monotonic() + patience_s
        while left := [name for name, process in ending.items() if _group_lives(process.pid)]:
            if time.monotonic() > until_s:
                raise ProcessError(f"of {', '.join(left)} something runs on after SIGKILL, {patience_s:.0f} s long")
            time.sleep(_LOOK_AGAIN_S)

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _group_lives(group: int) -> bool:
    """Whether a process of the group does anything. One that has ended may wait long for its new parent: a container's first process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return not stats or any(_runs_in(stat, group) for stat in stats)


def _runs_in(stat: Path, group: int) -> bool:
    """proc(5): behind the name in brackets come the state, the parent and the group."""
    try:
        state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
    except (OSError, ValueError):  # it has ended meanwhile
        return False
    return state not in "ZX" and int(its_group) == group
