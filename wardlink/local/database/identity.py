"""As whom the embedded server runs: PostgreSQL refuses root, so root drops to another user or hides in a user namespace.

See user_namespaces(7) and unshare(1).
"""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardlink.local.errors import StackError, failed

_UNSHARE: Final = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_DROP_TO: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Identity:
    """`uid` and `gid` own the server's files. With `namespace` that is root, seen as nobody by the server itself."""

    uid: int
    gid: int
    namespace: bool = False

    def run(
        self, command: Sequence[str | Path], what: str, environ: Mapping[str, str], timeout_s: float = 120.0
    ) -> str:
        """Run a program of the server as this identity and return what it printed.

        Raises `StackError` with the program's message and the advice for it.
        """
        words = [*(_UNSHARE if self.namespace else ()), *map(str, command)]
        drop = not self.namespace and self.uid != os.geteuid()
        try:
            done = subprocess.run(
                words,
                env={"PATH": environ["PATH"], "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                user=self.uid if drop else None,
                group=self.gid if drop else None,
                extra_groups=[] if drop else None,
            )
        except OSError as error:
            raise failed(what, str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{what}: no end after {timeout_s:.0f} s.", "see the server's log.") from error
        if done.returncode != 0:
            raise failed(what, done.stdout)
        return done.stdout

    def describe(self) -> str:
        """Name the user for a person."""
        return "root in a user namespace" if self.namespace else pwd.getpwuid(self.uid).pw_name

    def may_use(self, program: Path, folder: Path, environ: Mapping[str, str]) -> bool:
        """Tell whether this identity can execute `program` and enter `folder`."""
        try:
            self.run(["/bin/sh", "-c", 'test -x "$1" && test -x "$2"', "sh", program, folder], "probe", environ)
        except StackError:
            return False
        return True


def choose_identity(program: Path, base: Path, server: Path, environ: Mapping[str, str]) -> Identity:
    """Choose as whom to run `program` (the server) with its files in the folder `server` below `base`.

    Files that exist decide: their owner stays. Raises `StackError` when nobody fits.
    """
    me = os.geteuid()
    if server.exists():
        owner = server.stat()
        if me not in (0, owner.st_uid):
            raise StackError(
                f"{server} belongs to user {owner.st_uid}, and you are user {me}.",
                "run as that user, or give another data folder.",
            )
        if me != 0:
            return Identity(me, os.getegid())
        return Identity(owner.st_uid, owner.st_gid, namespace=owner.st_uid == 0)
    if me != 0:
        return Identity(me, os.getegid())
    for name in _DROP_TO:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        identity = Identity(entry.pw_uid, entry.pw_gid)
        if identity.may_use(program, base, environ):
            return identity
    hidden = Identity(0, 0, namespace=True)
    if hidden.may_use(program, base, environ):
        return hidden
    raise StackError(
        f"No user may both run {program} and enter {base}, and this machine forbids user namespaces.",
        "run as an ordinary user, or choose folders that the user nobody may enter.",
    )
