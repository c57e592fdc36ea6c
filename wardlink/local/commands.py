"""The command `wardlink stack`: brings the local database up and down, and says what is there.

Also fetches at set-up what is not committed: the JavaScript parts and, for the tests, a browser.
"""

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from wardlink.local.database import stack_down, stack_status, stack_up
from wardlink.local.debs import find_or_unpack_chromium
from wardlink.local.errors import StackError
from wardlink.local.npm import install_javascript
from wardlink.local.parts import PARTS, find_or_unpack
from wardlink.local.places import Places, Progress, default_places

DOWN: Final = 3  # as an init script's `status` says that a program does not run (LSB 3.1, 20.2)

app = typer.Typer(
    name="stack",
    help="The local database: PostgreSQL with TimescaleDB, without root, docker or a prepared machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the database and its secrets [default: .wardlink in the checkout]."
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Folder of what can be fetched again [default: the user's cache]."),
]


@app.command()
def up(data: DataOption = None, cache: CacheOption = None) -> None:
    """Start the database, building it first when needed; does nothing that is already done.

    With DATABASE_URL that database is used, and nothing is started. The first start fetches 40 MB of Debian packages.
    """
    with _errors_told():
        places = _places(data, cache)
        began = time.monotonic()
        database = stack_up(places, _progress(began))
        print(
            f"The database is up ({time.monotonic() - began:.1f} s): {database.name}, secrets in {database.layout.secrets}"
        )


@app.command()
def status(data: DataOption = None, cache: CacheOption = None) -> None:
    """Say what runs, where and in which versions; exit status 3 when the database is down."""
    with _errors_told():
        seen = stack_status(_places(data, cache))
        if not seen.running:
            print(f"down      {seen.kind} {seen.where}\n          {seen.problem}")
            raise typer.Exit(DOWN)
        process = f", process {seen.pid}" if seen.pid else ""
        print(f"up        {seen.kind} {seen.where}{process}")
        print(
            f"versions  PostgreSQL {seen.postgresql}, TimescaleDB {seen.timescaledb or 'missing'} ({seen.edition or 'unknown'} edition)"
        )
        print(f"size      {seen.size_mb:.0f} MB")


@app.command()
def down(data: DataOption = None, cache: CacheOption = None) -> None:
    """Stop the database and keep its data; a server of DATABASE_URL is left alone."""
    with _errors_told():
        if not stack_down(_places(data, cache), _progress(time.monotonic())):
            print("Nothing of ours was running.")


@app.command()
def url(role: str, data: DataOption = None, cache: CacheOption = None) -> None:
    """Print the address of a role of the database, as wardlink_web, with its password: for the settings of a hub."""
    with _errors_told():
        print(stack_up(_places(data, cache), lambda _line: None).url_for(role))


@app.command()
def javascript() -> None:
    """Install the JavaScript parts of the pages by their committed lock; a part of the set-up of a checkout."""
    with _errors_told():
        install_javascript(_places(None, None), os.environ, _progress(time.monotonic()))


@app.command()
def browser(cache: CacheOption = None) -> None:
    """Find a Chromium for the tests, or fetch one (172 MB) with a Chinese font from Debian; prints its path."""
    with _errors_told():
        print(find_or_unpack_chromium(_places(None, cache), _progress(time.monotonic())).executable)


@app.command()
def program(name: str, cache: CacheOption = None) -> None:
    """Find a program that a door or its tests need (dbus-daemon, mosquitto, nginx ...), or fetch it; prints its path."""
    with _errors_told():
        if name not in PARTS:
            raise StackError(f"No program {name!r} is known here.", f"choose one of: {', '.join(PARTS)}.")
        found = find_or_unpack(name, _places(None, cache), _progress(time.monotonic()))
        for variable, value in found.env.items():
            print(f"{variable}={value}")
        print(found.executable)


def _places(data: Path | None, cache: Path | None) -> Places:
    checkout = Path(__file__).resolve().parents[2]
    usual = default_places(os.environ, checkout if (checkout / "pyproject.toml").is_file() else None)
    return Places(
        cache=cache.absolute() if cache else usual.cache,
        data=data.absolute() if data else usual.data,
        database_url=usual.database_url,
        search_path=usual.search_path,
        proxies=usual.proxies,
    )


def _progress(began: float) -> Progress:
    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    return tell


@contextmanager
def _errors_told() -> Generator[None, None, None]:
    try:
        yield
    except StackError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
