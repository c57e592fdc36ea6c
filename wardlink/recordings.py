"""The command `wardlink recordings`: fetches published ECG recordings from their publisher, PhysioNet.

The publisher's own SHA256SUMS.txt says which files there are and what they hold. Reading them is left to protocols.ecgfile.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import httpx
import typer

PUBLISHER: Final = "https://physionet.org/files/"
SUMS: Final = "SHA256SUMS.txt"
KINDS: Final = frozenset(
    {
        ".hea",
        ".dat",
        ".atr",
        ".mat",
        ".csv",
        ".txt",
        ".i",
        ".ii",
        ".iii",
        ".v1",
        ".v2",
        ".v3",
        ".v4",
        ".v5",
        ".v6",
        ".avr",
        ".avl",
        ".avf",
    }
)
PARTIAL_CONTENT: Final = 206  # RFC 9110, 15.3.7
RANGE_NOT_SATISFIABLE: Final = 416  # RFC 9110, 15.5.17
NAMES: Final = frozenset({"RECORDS", "ANNOTATORS", "ALARMS", "LICENSE"})


@dataclass(frozen=True, slots=True)
class Database:
    """A published database: where it stands at the publisher, and what its publisher asks to be said of it.

    `records`: those that are fetched; none means all.
    """

    title: str
    path: str  # project and version
    folder: str  # below it, the part that is fetched; its files land without this prefix
    licence: str
    citation: str
    records: tuple[str, ...] = ()


ODC_BY: Final = "Open Data Commons Attribution License v1.0 (ODC-BY 1.0)"
CC_BY: Final = "Creative Commons Attribution 4.0 International (CC BY 4.0)"
DATABASES: Final[dict[str, Database]] = {
    "mitdb": Database(
        "MIT-BIH Arrhythmia Database", "mitdb/1.0.0", "", ODC_BY,
        "Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. IEEE Eng in Med and Biol 20(3):45-50 (2001).",
    ),
    "nstdb": Database(
        "MIT-BIH Noise Stress Test Database", "nstdb/1.0.0", "", ODC_BY,
        "Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Computers in Cardiology 11:381-384 (1984).",
    ),
    "vfdb": Database(
        "MIT-BIH Malignant Ventricular Ectopy Database", "vfdb/1.0.0", "", ODC_BY,
        "Greenwald SD. Development and analysis of a ventricular fibrillation detector. M.S. thesis, MIT (1986).",
    ),
    "cinc2015": Database(
        "Reducing False Arrhythmia Alarms in the ICU: PhysioNet/CinC Challenge 2015", "challenge-2015/1.0.0", "training/", ODC_BY,
        "Clifford GD et al. The PhysioNet/Computing in Cardiology Challenge 2015. Computing in Cardiology 42:273-276 (2015).",
    ),
    "ludb": Database(
        "Lobachevsky University Electrocardiography Database", "ludb/1.0.1", "data/", ODC_BY,
        "Kalyakulina AI et al. LUDB: a new open-access validation tool for electrocardiogram delineation. IEEE Access 8 (2020).",
    ),
    "ecg12": Database(  # of ten thousand records, in folders of a thousand, what the demo plays
        "CPSC 2018, in: Classification of 12-lead ECGs: PhysioNet/CinC Challenge 2020", "challenge-2020/1.0.2", "training/cpsc_2018/g1/", CC_BY,
        "Perez Alday EA et al. Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge 2020. Physiol Meas 41(12) (2020). "
        "Liu F et al. An open access database for evaluating the algorithms of electrocardiogram rhythm and morphology abnormality detection. "
        "J Med Imaging Health Inform 8(7):1368-1373 (2018).",
        records=("A0005",),
    ),
    "bidmc": Database(
        "BIDMC PPG and Respiration Dataset", "bidmc/1.0.0", "bidmc_csv/", ODC_BY,
        "Pimentel MAF et al. Towards a robust estimation of respiratory rate from pulse oximeters. IEEE TBME 64(8) (2016).",
    ),
}  # fmt: skip


class RecordingsError(Exception):
    """A database could not be fetched: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of SHA256SUMS.txt."""

    path: str
    sha256: str


def listed(text: str, folder: str, records: tuple[str, ...] = ()) -> list[Listed]:
    """Take from the text of SHA256SUMS.txt the files in `folder` that hold recordings, all or those of `records`, or words about them.

    Raises RecordingsError on a line that is not `<64 hex digits>  <path>`, and on a path that leaves the folder.
    """
    found: list[Listed] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        path = PurePosixPath(name.strip().removeprefix("*"))
        if (
            len(digest) != 64
            or set(digest.lower()) - set("0123456789abcdef")
            or path.is_absolute()
            or ".." in path.parts
        ):
            raise RecordingsError(
                f"{SUMS}, line {number}, is not a checksum and a path: {line[:80]!r}; is the address right?"
            )
        inside = str(path).removeprefix(folder)
        named = path.stem in records if records else path.suffix in KINDS or path.name in NAMES
        wanted = str(path).startswith(folder) and "/" not in inside and named
        if wanted:
            found.append(Listed(str(path), digest.lower()))
    return found


def fetch(database: Database, to: Path, base: str, client: httpx.Client, progress: Callable[[str], None]) -> int:
    """Fetch `database` from `base` into the folder `to`; returns how many files were not there yet.

    A file that is there with the right checksum is kept, a part of one is continued. Raises RecordingsError when the publisher
    cannot be reached, refuses, or serves something else than its checksums say.
    """
    root = f"{base.rstrip('/')}/{database.path}/"
    try:
        to.mkdir(parents=True, exist_ok=True)
        files = listed(_get(client, root + SUMS), database.folder, database.records)
        if not any(file.path.endswith(".hea") for file in files):
            raise RecordingsError(
                f"{root}{SUMS} names no recordings below {database.folder or 'its top'!r}: is the address right?"
            )
        began, new = time.monotonic(), 0
        for number, file in enumerate(files, 1):
            target = to / PurePosixPath(file.path).name
            if not (target.is_file() and _sha256(target) == file.sha256):
                _download(client, root + file.path, target, file.sha256)
                new += 1
            progress(f"{number}/{len(files)} {target.name} ({time.monotonic() - began:.0f} s)")
        (to / "ATTRIBUTION.md").write_text(_attribution(database, root), "utf-8")
    except OSError as error:
        raise RecordingsError(
            f"{error.filename or to} cannot be written: {error.strerror}; choose another folder with --to"
        ) from error
    return new


def _get(client: httpx.Client, url: str) -> str:
    try:
        return client.get(url).raise_for_status().text
    except httpx.HTTPStatusError as error:
        raise RecordingsError(f"{url} answers {error.response.status_code}: is the address right (--from)?") from error
    except httpx.HTTPError as error:
        raise RecordingsError(f"{url} cannot be reached: {error}; try again, or name a mirror with --from") from error


def _download(client: httpx.Client, url: str, target: Path, sha256: str) -> None:
    part = target.with_name(f"{target.name}.part")
    for again in (False, True):
        if again:  # what we had was a part of something else
            part.unlink(missing_ok=True)
        _append(client, url, part)
        if _sha256(part) == sha256:
            part.replace(target)
            return
    size = part.stat().st_size
    part.unlink()
    raise RecordingsError(
        f"{url} has not the checksum that {SUMS} gives ({size} bytes came): try again, or name a mirror with --from"
    )


def _append(client: httpx.Client, url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    try:
        with client.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                return  # nothing lies behind what we have; its checksum says whether that is the file
            answer.raise_for_status()
            with part.open("ab" if answer.status_code == PARTIAL_CONTENT else "wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
    except httpx.HTTPStatusError as error:
        raise RecordingsError(
            f"{url} answers {error.response.status_code}: try again later, or name a mirror with --from"
        ) from error
    except httpx.HTTPError as error:
        raise RecordingsError(f"{url} broke off: {error}; the same command goes on from there") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attribution(database: Database, address: str) -> str:
    return (
        f"# {database.title}\n\nFetched from {address}{database.folder}\n\nLicence: {database.licence}.\n\n{database.citation}\n\n"
        "PhysioNet: Goldberger AL et al. PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220 (2000).\n"
    )


app = typer.Typer(
    name="recordings",
    help="Published ECG recordings, fetched from their publisher.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_() -> None:
    """List the databases that can be fetched."""
    for name, database in DATABASES.items():
        alone = f"; of it: {', '.join(database.records)}" if database.records else ""
        print(f"{name:<9} {database.title}{alone}; {database.licence}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Which database; `wardlink recordings list` names them.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder of the databases. [default: recordings]")] = None,
    from_: Annotated[str, typer.Option("--from", help="Address of the publisher or of a mirror.")] = PUBLISHER,
) -> None:
    """Fetch a database into a folder of its name below --to; what is there already is kept."""
    if name not in DATABASES:
        typer.echo(f"There is no database {name!r}; known are {', '.join(DATABASES)}.", err=True)
        raise typer.Exit(2)
    folder = (to or Path("recordings")) / name
    try:
        with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30)) as client:
            new = fetch(DATABASES[name], folder, from_, client, print)
    except RecordingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    print(f"{folder}: {new} files fetched; use them with RECORDINGS={folder.parent}")
