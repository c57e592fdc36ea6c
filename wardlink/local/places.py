"""Where the local stack keeps its things; made once by the command that runs, and passed on.

Leaves the making of folders to those who use them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardlink.local.errors import StackError

Progress = Callable[[str], None]

# PostgreSQL's tools build shell commands in double quotes, and the loader splits its search path at these.
UNFIT_IN_PATHS: Final = frozenset(':;"$`\\\n\r')


@dataclass(frozen=True, slots=True)
class Places:
    """Folders and choices of one local stack.

    `cache` holds what can be fetched again (programs), `data` what must be kept (database, secrets).
    `database_url` (`DATABASE_URL`) replaces the embedded server altogether. `search_path` is where programs
    are looked for, in the form of PATH; `proxies` are pairs of an environment variable and its value. `durable=False` turns fsync off: for tests that kill nothing.
    """

    cache: Path
    data: Path
    database_url: str | None = None
    search_path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    durable: bool = True
    proxies: tuple[tuple[str, str], ...] = ()

    def tool_environ(self) -> dict[str, str]:
        """Make the environment in which apt, dpkg and the like run: English messages, the proxies, nothing else."""
        return {"PATH": self.search_path, "LC_ALL": "C", "HOME": "/", **dict(self.proxies)}

    def __post_init__(self) -> None:
        """Refuse folders that PostgreSQL's own tools cannot handle."""
        for name, folder in (("cache", self.cache), ("data", self.data)):
            if not folder.is_absolute():
                raise StackError(f"The {name} folder {folder} is not an absolute path.", "give it from the root on.")
            if bad := sorted(UNFIT_IN_PATHS.intersection(str(folder))):
                raise StackError(
                    f"The {name} folder {str(folder)!r} has characters that PostgreSQL's tools cannot handle: {' '.join(map(repr, bad))}.",
                    "give a folder without them (spaces and Chinese are fine).",
                )


def default_places(environ: Mapping[str, str], checkout: Path | None) -> Places:
    """Find the usual folders: programs in the user's cache, data in `<checkout>/.wardlink`.

    Without a checkout the data goes to XDG_DATA_HOME. Root's programs go to /var/cache/wardlink, because the
    server runs as a user who may not enter root's home.
    """
    home = Path(environ.get("HOME") or Path.home())
    if cache_home := environ.get("XDG_CACHE_HOME"):
        cache = Path(cache_home) / "wardlink"
    elif os.geteuid() == 0:
        cache = Path("/var/cache/wardlink")
    else:
        cache = home / ".cache" / "wardlink"
    if checkout is not None:
        data = checkout / ".wardlink"
    else:
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "wardlink"
    return Places(
        cache=cache,
        data=data,
        database_url=environ.get("DATABASE_URL") or None,
        search_path=environ.get("PATH") or os.defpath,
        proxies=tuple((name, environ[name]) for name in ("http_proxy", "https_proxy", "no_proxy") if name in environ),
    )
