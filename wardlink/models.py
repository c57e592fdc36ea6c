"""The command `wardlink models`: which models the screening has, whether their files are those of their cards, and how each is made."""

import hashlib
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
