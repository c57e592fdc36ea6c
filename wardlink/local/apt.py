"""Fetches Debian packages with the machine's own apt, mirrors and keyring into a private folder.

Needs no root and changes nothing of the system: apt gets a configuration of its own. Signatures are checked by
apt (apt-secure(8)); the files are unpacked with dpkg-deb and never installed.
"""

import re
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardlink.local.errors import StackError
from wardlink.local.programs import run

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_RELEASE_LINE: Final = re.compile(r"^'([^']*)/dists/([^'/]*)/InRelease'", re.MULTILINE)
_POCKETS: Final = ("-security", "-updates", "-backports")
# Settings that only slow the private copy down or name the machine's own files.
_NOT_TAKEN_OVER: Final = (
    "Acquire::IndexTargets",
    "Acquire::Changelogs",
    "Acquire::CompressionTypes",
    "Acquire::Languages",
    "Acquire::AllowInsecureRepositories",
)


@dataclass(frozen=True, slots=True)
class Mirrors:
    """What the machine's apt is set to fetch: addresses of main archives and of security archives, in its order."""

    main: tuple[str, ...]
    security: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one archive, for example trixie-security."""

    uri: str
    suite: str

    def stanza(self) -> str:
        """Write it as apt's deb822 format has it (sources.list(5))."""
        return f"Types: deb\nURIs: {self.uri}\nSuites: {self.suite}\nComponents: main\nSigned-By: {KEYRING}\n"


def tools_missing(search_path: str) -> list[str]:
    """Return what this machine lacks for fetching Debian packages; empty when it can."""
    missing = [
        tool for tool in ("apt-get", "apt-config", "dpkg", "dpkg-deb") if shutil.which(tool, path=search_path) is None
    ]
    if not KEYRING.exists():
        missing.append(str(KEYRING))
    return missing


def configured_mirrors(environ: Mapping[str, str]) -> Mirrors:
    """Ask apt what it would fetch; this reads `.list` and deb822 sources alike and needs neither root nor lists."""
    printed = run(["apt-get", "update", "--print-uris"], "apt does not say which mirrors it uses", environ=environ)
    pairs = [(suite, uri) for uri, suite in _RELEASE_LINE.findall(printed) if not uri.startswith("cdrom:")]
    main = dict.fromkeys(uri for suite, uri in pairs if not suite.endswith(_POCKETS))
    security = dict.fromkeys(uri for suite, uri in pairs if suite.endswith("-security"))
    return Mirrors(tuple(main), tuple(security))


@dataclass(frozen=True, slots=True)
class PrivateApt:
    """An apt of its own in the folder `state`, which must be empty or missing at first and is private to its owner."""

    state: Path
    environ: Mapping[str, str]
    architecture: str

    @property
    def archives(self) -> Path:
        """The folder into which packages are downloaded."""
        return self.state / "cache" / "archives"

    def prepare(self, stand_ins: Sequence[str]) -> None:
        """Make the folders, settings and a package database that declares `stand_ins` as installed."""
        self.state.mkdir(mode=0o700, parents=True)
        for folder in ("lists/partial", "cache/archives/partial", "empty"):
            (self.state / folder).mkdir(parents=True)
        # The epoch keeps apt from fetching a stand-in after all for a dependency such as `>= 1:19.1.0`.
        stanzas = [
            f"Package: {name}\nStatus: install ok installed\nArchitecture: {self.architecture}\nMulti-Arch: foreign\n"
            "Version: 99:9999\nMaintainer: x\nDescription: x\n"
            for name in stand_ins
        ]
        (self.state / "status").write_text("\n".join(stanzas))
        (self.state / "apt.conf").write_text(self._settings())

    def use(self, sources: Sequence[Source]) -> None:
        """Fetch and verify the lists of these sources; raises `StackError` when any of them fails."""
        (self.state / "db.sources").write_text("\n".join(source.stanza() for source in sources))
        names = ", ".join(f"{source.suite} of {source.uri}" for source in sources)
        self._apt(["-o", "APT::Update::Error-Mode=any", "update"], f"apt cannot use {names}")

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Download these packages and what they depend on; returns the files, verified by apt as they came.

        apt does not hash a file that already lies in its folder, so the folder is emptied first.
        """
        for old in self.archives.glob("*.deb"):
            old.unlink()
        self._apt(["-y", "--download-only", "install", *packages], f"apt cannot download {', '.join(packages)}")
        return sorted(self.archives.glob("*.deb"))

    def _apt(self, words: Sequence[str], what: str) -> None:
        environ = {**self.environ, "APT_CONFIG": str(self.state / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "-q", *words], what, environ=environ)

    def _settings(self) -> str:
        dump = run(["apt-config", "dump"], "apt does not show its settings", environ=self.environ)
        kept = [
            line for line in dump.splitlines() if line.startswith("Acquire::") and not line.startswith(_NOT_TAKEN_OVER)
        ]
        state, empty = self.state, self.state / "empty"
        own = {
            "Dir::State": state,
            "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::State::extended_states": state / "ext",
            "Dir::Cache": state / "cache",
            "Dir::Cache::archives": self.archives,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::sourcelist": state / "db.sources",
            "Dir::Etc::sourceparts": empty,
            "Dir::Etc::main": empty / "x",
            # The system's own parts hold hooks that run after an update.
            "Dir::Etc::parts": empty,
            "Dir::Etc::preferences": empty / "x",
            "Dir::Etc::preferencesparts": empty,
            "Dir::Etc::trusted": empty / "x",
            "Dir::Etc::trustedparts": empty,
            "Dir::Log": state,
            "APT::Architecture": self.architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "APT::Get::AllowUnauthenticated": "false",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::Languages": "none",
        }
        lines = [
            *kept,
            *(f'{key} "{value}";' for key, value in own.items()),
            f'APT::Architectures {{ "{self.architecture}"; }};',
        ]
        return "\n".join(lines) + "\n"


@contextmanager
def private_apt(state: Path, environ: Mapping[str, str], stand_ins: Sequence[str]) -> Generator[PrivateApt, None, None]:
    """Give an apt of its own in `state`, and delete that folder afterwards.

    Raises `StackError` when the machine lacks apt, dpkg or Debian's keyring.
    """
    if missing := tools_missing(environ["PATH"]):
        raise StackError(
            f"This machine cannot fetch Debian packages: {', '.join(missing)} not found.",
            "install apt and debian-archive-keyring, or bring the programs in another way.",
        )
    architecture = run(
        ["dpkg", "--print-architecture"], "dpkg does not say this machine's architecture", environ=environ
    ).strip()
    shutil.rmtree(state, ignore_errors=True)
    try:
        apt = PrivateApt(state, environ, architecture)
        apt.prepare(stand_ins)
        yield apt
    finally:
        shutil.rmtree(state, ignore_errors=True)


def unpack(packages: Sequence[Path], into: Path, environ: Mapping[str, str]) -> list[str]:
    """Unpack .deb files into a folder; returns their `name version` lines, sorted."""
    lines: list[str] = []
    for package in packages:
        run(["dpkg-deb", "-x", package, into], f"{package.name} cannot be unpacked", environ=environ)
        shown = run(
            ["dpkg-deb", "-W", "--showformat=${Package} ${Version}", package],
            f"{package.name} has no name",
            environ=environ,
        )
        lines.append(shown.strip())
    return sorted(lines)
