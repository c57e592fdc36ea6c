"""How the local stack finds mirrors and tells where a library comes from, on what apt and the loader print."""

import stat
from pathlib import Path

from wardlink.local.apt import Source, configured_mirrors, tools_missing

# As `apt-get update --print-uris` prints it on a Debian 12 laptop that also lists a vendor's repository.
PRINTED = """\
'http://mirror.test/debian/dists/bookworm/InRelease' mirror.test_debian_dists_bookworm_InRelease 0
'http://mirror.test/debian/dists/bookworm-updates/InRelease' mirror.test_debian_dists_bookworm-updates_InRelease 0
'http://mirror.test/debian-security/dists/bookworm-security/InRelease' mirror.test_x 0
'cdrom://[Debian]/dists/bookworm/InRelease' cdrom 0
'https://vendor.test/apt/dists/stable/InRelease' vendor.test_apt_dists_stable_InRelease 0
'http://mirror.test/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror.test_y 0
"""


def test_the_mirrors_are_those_that_apt_would_fetch(tmp_path: Path):
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f"#!/bin/sh\ncat <<'END'\n{PRINTED}END\n")
    apt_get.chmod(apt_get.stat().st_mode | stat.S_IXUSR)
    mirrors = configured_mirrors({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert mirrors.main == ("http://mirror.test/debian", "https://vendor.test/apt")
    assert mirrors.security == ("http://mirror.test/debian-security",)


def test_every_source_is_bound_to_debians_keyring():
    stanza = Source("http://mirror.test/debian", "trixie").stanza()
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n" in stanza
    assert "Suites: trixie\n" in stanza


def test_a_machine_without_apt_is_told_what_it_lacks(tmp_path: Path):
    assert tools_missing(str(tmp_path))[:2] == ["apt-get", "apt-config"]
