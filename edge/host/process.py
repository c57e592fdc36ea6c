"""One host process as the agent sees it: started, heard, and ended when it does not beat; says by what it ended, and where it stood.

Leaves to `adapter` when it is started again.
"""

import asyncio
import re
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge.host import wire
from edge.host.limits import HostLimits
from edge.host.wire import HEAD, MAX_BODY_BYTES, Kind
from edge.pipeline.queues import QUEUES
from firmware_adapters.adapter import LinkError

START_S = 30.0  # until the adapter is loaded: a slow gateway, and a maker's library
_LEAST_S = 0.3  # listened for at least: the agent's own loop may have been late
_DUMP_S, _END_S = 0.5, 0.5
_FRAMES_KEPT = 6
_LINE_BYTES = 4096
_FRAME = re.compile(r'File "([^"]*)", line (\d+) in (\S+)')  # of faulthandler
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "DBUS_SYSTEM_BUS_ADDRESS")


@dataclass(frozen=True, slots=True)
class Ended:
    """By what a host ended: `blocked`, `crashed` or `refused`; a sentence; where it stood, innermost first."""

    reason: str
    text: str
    where: tuple[str, ...] = ()


class HostLostError(LinkError):
    """The process of a device's adapter has ended."""

    def __init__(self, ended: Ended) -> None:
        """`ended`: how."""
        super().__init__(f"the adapter's process has ended: {ended.text}")
        self.ended = ended


class HostProcess:
    """A running host. `next` gives what it says."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limits: HostLimits,
    ) -> None:
        """Made by `start`."""
        self._process, self._reader, self._writer, self._limits = process, reader, writer, limits
        self._head: tuple[int, int] | None = None
        self._heard_s = time.monotonic()
        self._patience_s = START_S
        self._where: list[str] = []
        self._watch = asyncio.create_task(self._read_errors())
        self._ending: asyncio.Task[Ended] | None = None

    @classmethod
    async def start(cls, environment: Mapping[str, str], limits: HostLimits) -> Self:
        """Start one; LinkError when this machine cannot."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "edge.host", str(theirs.fileno()), str(limits.memory_bytes),
                pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=_environment(environment), limit=_LINE_BYTES, cwd="/",
            )  # fmt: skip
        except OSError as error:
            ours.close()
            msg = f"a process for the adapter cannot be started: {error}"
            raise LinkError(msg) from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=QUEUES["host-records"].bound)
        return cls(process, reader, writer, limits)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def say(self, kind: Kind, **values: object) -> None:
        """Tell it something; what goes to a dead one is told by `next`."""
        with suppress(OSError):
            self._writer.write(wire.told(kind, **values))

    async def next(self) -> tuple[Kind, bytes]:
        """The next frame that is no beat; HostLostError when it has ended, or does not beat. May be cancelled and called again."""
        while self._ending is None:
            left_s = self._heard_s + self._patience_s - time.monotonic()
            try:
                async with asyncio.timeout(max(left_s, _LEAST_S)):
                    kind, body = await self._frame()
            except TimeoutError:
                self._ending = asyncio.create_task(self._blocked())
            except (asyncio.IncompleteReadError, OSError):
                self._ending = asyncio.create_task(self._gone())
            except ValueError as error:
                ended = Ended("crashed", f"it said what is no message of a host: {error}")
                self._ending = asyncio.create_task(self._kill(ended))
            else:
                self._heard_s = time.monotonic()
                if kind is Kind.READY:
                    self._patience_s = self._limits.blocked_s
                if kind is Kind.FAILED:
                    self._ending = asyncio.create_task(self._kill(_failed(body)))
                elif kind is not Kind.BEAT:
                    return kind, body
        raise HostLostError(await asyncio.shield(self._ending))

    async def end(self) -> None:
        """End it: it ends by itself when nobody is at the other end, else it is killed."""
        self._writer.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            await self._reap()

    async def _frame(self) -> tuple[Kind, bytes]:
        if self._head is None:
            size, kind = HEAD.unpack(await self._reader.readexactly(HEAD.size))
            if size > MAX_BODY_BYTES:
                msg = f"a frame of {size} bytes, expected at most {MAX_BODY_BYTES}"
                raise ValueError(msg)
            self._head = size, kind
        size, kind = self._head
        body = await self._reader.readexactly(size)
        self._head = None
        return Kind(kind), body

    async def _blocked(self) -> Ended:
        waited_s = time.monotonic() - self._heard_s
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGUSR1)
        await asyncio.sleep(_DUMP_S)
        text = f"blocked: its event loop has stood still for {waited_s:.1f} s"
        return await self._kill(Ended("blocked", text, tuple(self._where)))

    async def _gone(self) -> Ended:
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        await self._reap()
        code = self._process.returncode or 0
        by = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Ended("crashed", f"crashed: {by}", tuple(self._where))

    async def _kill(self, ended: Ended) -> Ended:
        await self._reap()
        return ended

    async def _reap(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._writer.close()
        await asyncio.gather(self._watch, return_exceptions=True)

    async def _read_errors(self) -> None:
        """Its standard error: only where it stood is kept, for what foreign code prints may name a person."""
        errors = self._process.stderr
        assert errors is not None
        current = False
        while True:
            try:
                line = await errors.readline()
            except ValueError:
                continue  # longer than a line may be
            if not line:
                return
            text = line.decode("utf-8", "replace")
            if "most recent call first" in text:
                current = text.startswith("Current thread")
                self._where = [] if current else self._where
            elif current and len(self._where) < _FRAMES_KEPT and (found := _FRAME.search(text)):
                self._where.append(f"{Path(found[1]).name}:{found[2]} in {found[3]}")


def _failed(body: bytes) -> Ended:
    value = wire.object_of(body)
    text = f"crashed: {value.get('error')}: {value.get('text')}"
    return Ended("crashed", text, tuple(wire.strings(value.get("where"))))


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a program needs to run and nothing of ours: no setting, no credential. One thread a core for linear algebra is one too many."""
    return {name: given[name] for name in _PASSED_ON if name in given} | {
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
