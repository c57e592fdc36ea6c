"""The command `wardlink models`: which models the screening has, whether their files are those of their cards, and how each is made."""

import hashlib
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from models.signal import card, networks

app = typer.Typer(
    name="models",
    help="The models of the screening: what is installed, and how each is made.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_() -> None:
    """List the models with version, files and the SHA-256 that their cards state; ends with 1 when a file is another."""
    wrong = 0
    for entry in sorted(path.name for path in (files("models") / "cards").iterdir()):
        name = entry.removesuffix(".md")
        stated = card.of(name)
        for file, sha256 in stated.sha256.items():
            data = card.read(file)
            same = hashlib.sha256(data).hexdigest() == sha256
            wrong += not same
            print(
                f"{name:<10} version {stated.version}  {file} {len(data)} bytes  {sha256[:12]}  {'ok' if same else 'NOT THIS FILE'}"
            )
    if not networks.can_run():
        print("Networks are not used: LiteRT is not installed here; beats are found by rules and have no classes.")
    if wrong:
        typer.echo(f"{wrong} files are not those of their cards: install the package again.", err=True)
        raise typer.Exit(1)


@app.command()
def train(
    *,
    name: Annotated[str, typer.Argument(help="Which model; an unknown name tells those that can be made.")],
    recordings: Annotated[
        Path, typer.Option("--recordings", envvar="RECORDINGS", help="Folder of the databases.", show_envvar=True)
    ] = Path("recordings"),
    folds: Annotated[
        bool, typer.Option("--folds", help="Those of cross-validation too, by which it is measured.")
    ] = False,
) -> None:
    """Make a model from recordings, in a checkout: its files into models/weights, their hashes into its card."""
    if find_spec("models.training") is None:
        typer.echo(
            "What makes models is not installed: it is in a checkout of the project, not in its package.", err=True
        )
        raise typer.Exit(2)
    from models.training.procedures import PROCEDURES
    from models.training.procedures import train as make

    if name not in PROCEDURES:
        typer.echo(f"There is no model {name!r} to make; known are {', '.join(PROCEDURES)}.", err=True)
        raise typer.Exit(2)
    try:
        for line in make(name, recordings, folds=folds):
            print(line, flush=True)
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
def annotate(
    *,
    records: Annotated[list[Path], typer.Argument(help="WFDB records, without extension.", metavar="RECORD...")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the annotation files; it is made.", metavar="DIR")],
    annotator: Annotated[str, typer.Option("--annotator", help="Extension of the files.")] = "wl",
) -> None:
    """Write what the screening finds in recordings as WFDB annotation files, which bxb, epicmp and rdann read."""
    from models.evaluation.played import play
    from protocols.ecgfile.wfdb import encode_annotations, read_record
    from protocols.errors import DecodeError

    to.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for path in records:
        try:
            played = play(read_record(path))
        except FileNotFoundError as error:
            typer.echo(f"{path}: there is no {error.filename}; name a record without extension.", err=True)
            wrong += 1
            continue
        except (DecodeError, ValueError) as error:
            typer.echo(f"{path}: {error}", err=True)
            wrong += 1
            continue
        marks = played.annotations()
        file = to / f"{path.with_suffix('').name}.{annotator}"
        file.write_bytes(encode_annotations(marks))
        kinds = [kind.name for kind in played.beats.values()]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in "NSVQ" if kind in kinds)
        print(f"{file}: {len(kinds)} beats ({counts or 'none'}), {len(marks) - len(kinds)} marks of rhythm", flush=True)
    if wrong:
        raise typer.Exit(1)


@app.command()
def evaluate(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder of annotated WFDB records.", metavar="DIR")],
    reference: Annotated[
        str, typer.Option("--reference", help="Extension of the annotations to compare with.")
    ] = "atr",
    to: Annotated[
        Path | None, typer.Option("--to", help="File for the report; without it the report is printed.", metavar="FILE")
    ] = None,
    from_s: Annotated[
        float, typer.Option("--from-s", help="Seconds at the beginning of each record that are not counted.", min=0)
    ] = 300.0,
    each_lead: Annotated[
        bool, typer.Option("--each-lead", help="Judge by each lead alone as well; takes about twice as long.")
    ] = False,
) -> None:
    """Compare what the screening finds in annotated recordings with their annotations, by ANSI/AAMI EC57; a report in Markdown.

    What a site does with recordings of its own before it relies on the screening.
    """
    from models.evaluation.folder import Job, LeftOut, judge, records
    from models.evaluation.report import Result, report
    from wardlink import parallel

    jobs = [Job(path, reference, from_s, each_lead) for path in records(folder)]
    if not jobs:
        typer.echo(f"There are no WFDB records (.hea) in {folder}.", err=True)
        raise typer.Exit(1)
    found = parallel.over(judge, jobs)
    results = [one for one in found if isinstance(one, Result)]
    left_out = {one.name: one.why for one in found if isinstance(one, LeftOut)}
    for name, why in left_out.items():
        typer.echo(f"{name} is left out: {why}", err=True)
    if not results:
        typer.echo(f"None of {len(jobs)} records of {folder} could be judged.", err=True)
        raise typer.Exit(1)
    text = report(results, f"Screening of the records of {folder.name}", judges(), left_out, from_s)
    if to is None:
        print(text, end="")
    else:
        to.write_text(text, encoding="utf-8")
        print(f"{to}: {len(results)} records judged, {len(left_out)} left out")


def judges() -> list[str]:
    """What the installed screening judges by, a line each: the program, and each model with the beginning of its hash."""
    by = [f"Wardlink {version('wardlink')}"]
    for name in ("qrs", "beats", "supraventricular", "lethal"):
        stated = card.of(name)
        hashes = ", ".join(sha256[:12] for sha256 in stated.sha256.values())
        used = "" if networks.can_run() or name == "lethal" else ", not used: LiteRT is not installed"
        by.append(f"{name} {stated.version} ({hashes}{used})")
    return by
