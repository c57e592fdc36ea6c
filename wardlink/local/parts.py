"""Brings the small programs that doors stand on or are tested by, from packages of the machine's own suite.

One table: a bus daemon, an MQTT broker and its clients, a web server, CoAP clients, a packet filter. An installed program is taken first; else its packages
are unpacked into the cache and find their libraries by LD_LIBRARY_PATH (ld.so(8)), as Chromium does in `wardlink.local.debs`.
"""

import platform
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from wardlink.local.apt import private_apt, unpack
from wardlink.local.debs import library_folders, use_own_suite
from wardlink.local.errors import StackError
from wardlink.local.locks import exclusive
from wardlink.local.programs import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wardlink.local.places import Places, Progress

RECIPE: Final = "1"
# The C library stays the machine's own, as its loader does; the others set up a system and are no library of these programs.
_STAND_INS: Final = (
    "libc6",
    "libc-bin",
    "debconf",
    "ucf",
    "adduser",
    "passwd",
    "init-system-helpers",
    "lsb-base",
    "sysvinit-utils",
    "systemd",
    "iproute2",
    "tzdata",
)
_NOT_NEEDED: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian")


@dataclass(frozen=True, slots=True)
class Part:
    """A program: the packages that bring it, where it lies in them, and words that make it say something.

    `says` is in what it then prints, whatever its exit status: these programs give none that means success.
    """

    program: str
    packages: tuple[str, ...]
    path: str
    asked: tuple[str, ...]
    says: str


_ROWS: Final = (
    Part("dbus-daemon", ("dbus-daemon",), "usr/bin/dbus-daemon", ("--version",), "D-Bus Message Bus Daemon"),
    Part("mosquitto", ("mosquitto",), "usr/sbin/mosquitto", ("-h",), "mosquitto version"),
    Part("mosquitto_pub", ("mosquitto-clients",), "usr/bin/mosquitto_pub", ("--help",), "mosquitto_pub version"),
    Part("mosquitto_sub", ("mosquitto-clients",), "usr/bin/mosquitto_sub", ("--help",), "mosquitto_sub"),
    Part("mosquitto_rr", ("mosquitto-clients",), "usr/bin/mosquitto_rr", ("--help",), "mosquitto_rr version"),
    Part("nginx", ("nginx",), "usr/sbin/nginx", ("-v",), "nginx version"),
    Part("coap-client-openssl", ("libcoap3-bin",), "usr/bin/coap-client-openssl", (), "coap-client"),
    Part("nft", ("nftables",), "usr/sbin/nft", ("--version",), "nftables v"),
    Part("coap-client-gnutls", ("libcoap3-bin",), "usr/bin/coap-client-gnutls", (), "coap-client"),
)
PARTS: "Final[Mapping[str, Part]]" = MappingProxyType({part.program: part for part in _ROWS})


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs here, and what its environment must have in addition to the caller's own."""

    executable: Path
    env: dict[str, str] = field(default_factory=dict[str, str])


def find_or_unpack(program: str, places: "Places", progress: "Progress") -> Program:
    """Return the installed `program` of the table, or one unpacked into the cache (once; a few seconds).

    KeyError for a program that is not in the table; `StackError` when it is not installed and this machine's mirrors serve none.
    """
    part = PARTS[program]
    if found := shutil.which(program, path=places.search_path):
        return Program(Path(found))
    return unpacked(part, places, progress)


def unpacked(part: Part, places: "Places", progress: "Progress") -> Program:
    """Return the part out of the cache, unpacked when it is not there, whatever is installed."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    folder = places.cache / f"{'+'.join(part.packages)}-{codename or 'unknown'}-r{RECIPE}"
    if not (folder / "manifest.txt").is_file():
        with exclusive(places.cache / "build.lock", progress):
            if not (folder / "manifest.txt").is_file():
                _unpack(part, folder, codename, places, progress)
    return _program_in(folder, part)


def _unpack(part: Part, folder: Path, codename: str, places: "Places", progress: "Progress") -> None:
    environ = places.tool_environ()
    fresh = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    began = time.monotonic()
    progress(f"no {part.program} is installed; fetching it from the suite {codename} (once)")
    try:
        with private_apt(places.cache / "apt-state", environ, _STAND_INS) as apt:
            use_own_suite(apt, codename, part.program)
            packages = apt.download(part.packages)
            size_mb = sum(package.stat().st_size for package in packages) / 1e6
            fresh.mkdir(parents=True)
            manifest = unpack(packages, fresh, environ)
        for name in _NOT_NEEDED:
            shutil.rmtree(fresh / name, ignore_errors=True)
        run(["chmod", "-R", "a+rX", fresh], f"{part.program} cannot be made readable", environ=environ)
        said = speak(part, _program_in(fresh, part), environ)
        if part.says not in said:
            raise StackError(
                f"The unpacked {part.program} does not run.", f"install {part.program} and put it on PATH.", said
            )
        (fresh / "manifest.txt").write_text("\n".join(manifest) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        took_s = time.monotonic() - began
        progress(f"{part.program}: {len(packages)} packages, {size_mb:.1f} MB, unpacked ({took_s:.1f} s)")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def speak(part: Part, program: Program, environ: "Mapping[str, str]") -> str:
    """Run the program with the words that make it say what it is; returns all it printed."""
    try:
        done = subprocess.run(
            [program.executable, *part.asked],
            env={**environ, **program.env},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout


def _program_in(folder: Path, part: Part) -> Program:
    return Program(folder / part.path, {"LD_LIBRARY_PATH": ":".join(map(str, library_folders(folder)))})
