"""Builds PREFIX: PostgreSQL 17 with TimescaleDB out of Debian trixie packages, run through the loader they bring.

Works on an older Debian-like system without root; design and measurements in docs/how-to/local-stack.md.
Leaves the running to `server`.
"""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlink.local.apt import Mirrors, PrivateApt, Source, configured_mirrors, private_apt, unpack
from wardlink.local.errors import StackError
from wardlink.local.locks import exclusive
from wardlink.local.places import Places, Progress
from wardlink.local.programs import run

SUITE: Final = "trixie"
MAJOR: Final = 17
PACKAGE: Final = f"postgresql-{MAJOR}-timescaledb"
# Raise this when the recipe changes, so that an older PREFIX is built anew.
RECIPE: Final = "1"
BIN: Final = Path("usr/lib/postgresql") / str(MAJOR) / "bin"
_LIB: Final = Path("usr/lib/postgresql") / str(MAJOR) / "lib"
# Parts that a private copy never runs: 38 packages come instead of 91.
STAND_INS: Final = (
    "postgresql-common",
    "postgresql-client-common",
    "ssl-cert",
    "debconf",
    "locales",
    "libllvm19",
    "sensible-utils",
    "readline-common",
    "libaudit-common",
    "libsasl2-modules-db",
    "openssl-provider-legacy",
)
_NOT_NEEDED: Final = (
    "etc",
    "usr/sbin",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    f"usr/share/postgresql/{MAJOR}/man",
    "usr/lib/systemd",
    f"{_LIB}/bitcode",
)
_WRAPPER: Final = """#!/bin/sh
b=${{0%/*}}; u=${{b%/lib/postgresql/{major}/bin}}
exec "$u/lib/{triplet}/{loader}" --inhibit-cache --library-path "$u/lib/{triplet}:$u/lib/postgresql/{major}/lib" --argv0 "$0" "$0.bin" "$@"
"""


def prefix_of(places: Places) -> Path:
    """Return the folder of the built server, whether it exists or not."""
    return places.cache / f"timescaledb-{MAJOR}-{SUITE}-r{RECIPE}"


def prefix_ready(places: Places) -> bool:
    """Tell whether PREFIX is complete; its manifest is written last, before the folder gets its name."""
    return (prefix_of(places) / "manifest.txt").is_file()


def build_prefix(places: Places, progress: Progress) -> Path:
    """Return PREFIX, building it when needed (about 10 s and 40 MB from a near mirror, 110 MB on disk).

    Raises `StackError` when this machine or its mirrors cannot serve it.
    """
    prefix = prefix_of(places)
    if prefix_ready(places):
        return prefix
    with exclusive(places.cache / "build.lock", progress):
        if prefix_ready(places):
            return prefix
        environ = places.tool_environ()
        fresh = prefix.with_name(prefix.name + ".tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            with private_apt(places.cache / "apt-state", environ, STAND_INS) as apt:
                began = time.monotonic()
                use_first_that_serves(apt, configured_mirrors(environ), progress)
                progress(f"package lists of Debian {SUITE} verified ({time.monotonic() - began:.1f} s)")
                began = time.monotonic()
                packages = apt.download([PACKAGE])
                size_mb = sum(package.stat().st_size for package in packages) / 1e6
                progress(f"{len(packages)} packages, {size_mb:.0f} MB downloaded ({time.monotonic() - began:.1f} s)")
                began = time.monotonic()
                fresh.mkdir(parents=True)
                manifest = unpack(packages, fresh, environ)
            _trim(fresh)
            _wrap(fresh)
            run(["chmod", "-R", "a+rX", fresh], "PREFIX cannot be made readable", environ=environ)
            _check(fresh, environ)
            (fresh / "manifest.txt").write_text("\n".join(manifest) + "\n")
            fresh.rename(prefix)
            progress(f"server unpacked and checked ({time.monotonic() - began:.1f} s)")
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return prefix


def use_first_that_serves(apt: PrivateApt, mirrors: Mirrors, progress: Progress) -> None:
    """Try each configured archive in turn; a machine also lists other vendors' repositories, which lack the suite or the key."""
    if not mirrors.main:
        raise StackError(
            "apt has no package sources.", "add a Debian mirror to the system's apt sources, or set DATABASE_URL."
        )
    security = [Source(uri, f"{SUITE}-security") for uri in mirrors.security]
    last: StackError | None = None
    for uri in mirrors.main:
        try:
            apt.use([Source(uri, SUITE), *security])
        except StackError as error:
            progress(f"{uri} does not serve Debian {SUITE}")
            last = error
        else:
            return
    if last is not None:
        raise last


def _loader(prefix: Path) -> Path:
    found = sorted((prefix / "usr/lib").glob("*-linux-gnu*/ld-linux-*.so.*"))
    if len(found) != 1:
        raise StackError(
            f"{prefix} has {len(found)} loaders instead of one.",
            "this architecture is not supported; set DATABASE_URL.",
        )
    return found[0]


def _is_elf(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _trim(prefix: Path) -> None:
    for name in _NOT_NEEDED:
        shutil.rmtree(prefix / name, ignore_errors=True)
    for module in (prefix / _LIB).glob("llvmjit*"):
        module.unlink()


def _wrap(prefix: Path) -> None:
    # initdb and pg_ctl call `postgres` beside themselves, so the wrapper must have the program's own name.
    loader = _loader(prefix)
    text = _WRAPPER.format(major=MAJOR, triplet=loader.parent.name, loader=loader.name)
    for program in sorted((prefix / BIN).iterdir()):
        if _is_elf(program):
            program.rename(program.with_name(program.name + ".bin"))
            program.write_text(text)
            program.chmod(0o755)


def _check(prefix: Path, environ: dict[str, str]) -> None:
    loader = _loader(prefix)
    library_path = f"{loader.parent}:{prefix / _LIB}"
    for binary in [*sorted((prefix / BIN).glob("*.bin")), *sorted((prefix / _LIB).glob("*.so"))]:
        listed = run(
            [loader, "--inhibit-cache", "--library-path", library_path, "--list", binary],
            f"{binary.name} cannot be loaded",
            environ=environ,
        )
        if wrong := _strangers(listed.splitlines(), prefix):
            raise StackError(
                f"{binary.name} would load libraries from outside of its folder: {'; '.join(wrong)}",
                "a package is missing from the closure; see STAND_INS in wardlink/local/database/prefix.py.",
            )


def _strangers(lines: Sequence[str], prefix: Path) -> list[str]:
    strangers: list[str] = []
    for line in lines:
        target = line.partition("=>")[2].strip() or line.strip()
        path = target.rpartition(" (")[0]
        if "not found" in line or (
            path.startswith("/") and not os.path.realpath(path).startswith(f"{os.path.realpath(prefix)}/")
        ):
            strangers.append(line.strip())
    return strangers
