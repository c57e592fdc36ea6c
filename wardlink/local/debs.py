"""Brings programs that start themselves anew or load libraries, out of packages of the machine's own Debian suite.

Such programs cannot be run through a foreign loader, so they keep the machine's C library and find the rest by
LD_LIBRARY_PATH (ld.so(8)). Here it is Chromium with a Chinese font for the tests, used when none is installed: its headless
shell, which draws the pages as it does and no window around them.
"""

import platform
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardlink.local.apt import PrivateApt, Source, configured_mirrors, private_apt, unpack
from wardlink.local.errors import StackError
from wardlink.local.locks import exclusive
from wardlink.local.places import Places, Progress
from wardlink.local.programs import run

RECIPE: Final = "2"
_INSTALLED_NAMES: Final = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
_PACKAGES: Final = ("chromium-headless-shell", "fonts-noto-cjk", "fonts-dejavu-core")
# The C library stays the machine's own, as its loader does; the others are never run by a headless browser.
STAND_INS: Final = (
    "libc6",
    "libc-bin",
    "debconf",
    "ucf",
    "fontconfig-config",
    "xdg-utils",
    "x11-utils",
    "systemd",
    "dbus",
    "libgl1-mesa-dri",
)
_NOT_NEEDED: Final = (
    "etc",
    "bin",
    "sbin",
    "usr/bin",
    "usr/sbin",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
)
_FONTS: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family><family>Noto Sans CJK SC</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Noto Serif CJK SC</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family><family>Noto Sans Mono CJK SC</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>Noto Sans CJK SC</family></prefer></alias>
</fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Browser:
    """A Chromium and what its environment must have in addition to the caller's own."""

    executable: Path
    env: dict[str, str]


def find_or_unpack_chromium(places: Places, progress: Progress) -> Browser:
    """Return an installed Chromium, or one unpacked into the cache (once; some ten seconds and 414 MB on disk).

    Raises `StackError` when none is installed and this machine's mirrors serve none.
    """
    for name in _INSTALLED_NAMES:
        if found := shutil.which(name, path=places.search_path):
            return Browser(Path(found), {})
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    folder = places.cache / f"chromium-{codename or 'unknown'}-r{RECIPE}"
    if not (folder / "manifest.txt").is_file():
        with exclusive(places.cache / "build.lock", progress):
            if not (folder / "manifest.txt").is_file():
                _unpack_chromium(folder, codename, places, progress)
    return _browser_in(folder)


def _unpack_chromium(folder: Path, codename: str, places: Places, progress: Progress) -> None:
    environ = places.tool_environ()
    fresh = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with private_apt(places.cache / "apt-state", environ, STAND_INS) as apt:
            began = time.monotonic()
            progress(f"no Chromium is installed; fetching one of Debian {codename} (once)")
            use_own_suite(apt, codename, "Chromium")
            packages = apt.download(_PACKAGES)
            size_mb = sum(package.stat().st_size for package in packages) / 1e6
            progress(f"{len(packages)} packages, {size_mb:.0f} MB downloaded ({time.monotonic() - began:.1f} s)")
            began = time.monotonic()
            fresh.mkdir(parents=True)
            manifest = unpack(packages, fresh, environ)
        for name in _NOT_NEEDED:
            shutil.rmtree(fresh / name, ignore_errors=True)
        run(["chmod", "-R", "a+rX", fresh], "the browser cannot be made readable", environ=environ)
        # The files name their own folder, so they are written for the name it gets in the end.
        (fresh / "font-cache").mkdir(mode=0o755)
        text = _FONTS.format(fonts=folder / "usr/share/fonts", cache=folder / "font-cache")
        (fresh / "fonts.conf").write_text(text)
        (fresh / "manifest.txt").write_text("\n".join(manifest) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        browser = _browser_in(folder)
        try:
            version = run(
                [browser.executable, "--version"],
                "the unpacked Chromium does not run",
                environ={**environ, **browser.env},
            )
        except StackError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        progress(f"{version.strip().splitlines()[-1]} unpacked ({time.monotonic() - began:.1f} s)")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def use_own_suite(apt: PrivateApt, codename: str, program: str) -> None:
    """Let `apt` fetch from the machine's own suite; `StackError` names the `program` that then cannot be had."""
    mirrors = configured_mirrors(apt.environ)
    security = [Source(uri, f"{codename}-security") for uri in mirrors.security]
    last = StackError(
        "apt has no package sources.", f"install {program}, or add a Debian mirror to the system's apt sources."
    )
    for uri in mirrors.main:
        try:
            apt.use([Source(uri, codename), *security])
        except StackError as error:
            last = error
        else:
            return
    raise StackError(
        f"No {program} is installed, and none can be fetched.\n{last}",
        f"install {program} and put it on PATH.",
        last.detail,
    )


def _browser_in(folder: Path) -> Browser:
    env = {
        "LD_LIBRARY_PATH": ":".join(map(str, library_folders(folder))),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
        "XDG_DATA_DIRS": f"{folder / 'usr/share'}:/usr/local/share:/usr/share",
    }
    return Browser(folder / "usr/lib/chromium/chromium-headless-shell", env)


def library_folders(folder: Path) -> Iterable[Path]:
    """Where libraries lie under an unpacked `folder`, in the order of LD_LIBRARY_PATH."""
    for top in (folder / "usr/lib", folder / "lib"):
        for triplet in sorted(top.glob("*-linux-gnu*")):
            yield triplet
            # Found by an rpath to the real /usr, or by the alternatives that dpkg would have set up.
            yield from (triplet / name for name in ("pulseaudio", "blas", "lapack") if (triplet / name).is_dir())
