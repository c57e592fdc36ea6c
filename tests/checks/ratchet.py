"""Counts what the type checker and the linter were told to overlook, and compares with tests/ratchet.json and its history.

A count may only fall, and a fall is committed: `python -m tests.checks.ratchet --lower` writes lower counts. A higher one written
into the file is refused too: the lowest that was ever committed holds. Where git knows no history, as in an archive, the file alone does.
"""

import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

COMMITTED = Path("tests/ratchet.json")
SINCE = "71f0573"  # the first whole product's counts; parts came with theirs before
COMMENTS = {
    "type: ignore": re.compile(r"#.*\btype:\s*ignore"),
    "pyright: ignore": re.compile(r"#\s*pyright:\s*(ignore|basic|\w+\s*=)"),
    "noqa": re.compile(r"#.*\bnoqa\b"),
}


def count(text: str) -> dict[str, int]:
    """Count in one module: comments that silence, and the name `Any` wherever it is used (not where it is imported)."""
    found = dict.fromkeys([*COMMENTS, "Any"], 0)
    importing = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            for name, pattern in COMMENTS.items():
                found[name] += bool(pattern.search(token.string))
        elif token.type == tokenize.NEWLINE:
            importing = False
        elif token.type == tokenize.NAME and token.string == "import":
            importing = True
        elif token.type == tokenize.NAME and token.string == "Any" and not importing:
            found["Any"] += 1
    return found


def total(root: Path) -> dict[str, int]:
    """Count over all Python files of the tree that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "*.py"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sums = dict.fromkeys([*COMMENTS, "Any"], 0)
    for name in listed.split("\0"):
        if name and (path := root / name).exists():
            for kind, number in count(path.read_text("utf-8")).items():
                sums[kind] += number
    return sums


def lowest(root: Path, since: str = SINCE) -> dict[str, int]:
    """The lowest committed count of each kind since a commit and in it; empty when git does not know that commit here."""
    if _git(root, "merge-base", "--is-ancestor", since, "HEAD") is None:
        return {}
    changed = _git(root, "log", "--format=%H", f"{since}..HEAD", "--", COMMITTED.as_posix()) or ""
    found: dict[str, int] = {}
    for commit in [since, *changed.split()]:
        text = _git(root, "show", f"{commit}:{COMMITTED.as_posix()}")
        counts: dict[str, int] = json.loads(text) if text else {}
        for kind, number in counts.items():
            found[kind] = min(number, found.get(kind, number))
    return found


def _git(root: Path, *words: str) -> str | None:
    """What git prints; None when it refuses, or when there is none."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def raised(committed: dict[str, int], lowest: dict[str, int]) -> list[str]:
    """Say which counts were written higher than they have been."""
    return [
        f"{kind}: {committed[kind]} in {COMMITTED}, and {least} were committed before: counts only fall, write {least}"
        for kind, least in lowest.items()
        if committed.get(kind, 0) > least
    ]


def compare(committed: dict[str, int], now: dict[str, int]) -> list[str]:
    """Say what is wrong, a sentence a count; empty when they agree."""
    sentences: list[str] = []
    for kind, number in now.items():
        allowed = committed.get(kind, 0)
        if number > allowed:
            sentences.append(
                f"{kind}: {number}, and only {allowed} are committed: mend the cause instead of silencing it"
            )
        elif number < allowed:
            sentences.append(
                f"{kind}: {number}, fewer than the {allowed} committed: `python -m tests.checks.ratchet --lower`"
            )
    return sentences


def main(arguments: list[str]) -> int:
    """Compare, or write lower counts; returns the exit status."""
    root = Path.cwd()
    now = total(root)
    committed = json.loads((root / COMMITTED).read_text("utf-8"))
    if "--lower" in arguments:
        now = {kind: min(number, committed.get(kind, number)) for kind, number in now.items()}
        (root / COMMITTED).write_text(json.dumps(now, indent=1) + "\n", "utf-8")
        return 0
    sentences = raised(committed, lowest(root)) + compare(committed, now)
    print("\n".join(sentences) if sentences else ", ".join(f"{kind} {number}" for kind, number in now.items()))
    return int(bool(sentences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
