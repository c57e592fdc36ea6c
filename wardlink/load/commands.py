"""The command `wardlink load`: many simulated gateways at a hub of its own, or at the test hub of an installation."""

import ipaddress
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from edge.identity import TokenError, parse_token
from wardlink.demo.installation import DemoError
from wardlink.load.page import new_password
from wardlink.load.play import Given, LoadError, play, play_at
from wardlink.load.report import table
from wardlink.local.errors import StackError
from wardlink.local.places import default_places
from wardlink.processes import ENDING, ProcessError, end_by_signal

CHECKOUT = Path(__file__).resolve().parents[2]
CAPTURES = CHECKOUT / "tests" / "captures"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def load(
    gateways: Annotated[int, typer.Option(help="How many gateways.", min=1, max=500)] = 4,
    beds: Annotated[int, typer.Option(help="How many beds each gateway has.", min=1, max=64)] = 8,
    minutes: Annotated[float, typer.Option(help="For how long.", min=0.05, max=7 * 24 * 60)] = 1.0,
    processes: Annotated[int, typer.Option(help="How many processes play the gateways.", min=1, max=64)] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result there too, for machines.")
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Not a hub of its own: a line each with the token of a gateway of a running hub, from `wardlink hub gateway add`.",
        ),
    ] = None,
    page: Annotated[
        str,
        typer.Option(
            metavar="LINK", help="With --tokens: a one-time link, from `wardlink hub account add`, to watch frames."
        ),
    ] = "",
    ward: Annotated[str, typer.Option(help="With --page: the ward to watch.")] = "",
    test_hub: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="The host of the tokens, said again: it is a test hub, and no patient depends on it."
        ),
    ] = "",
) -> None:
    """Load a hub with the real uplink of many simulated gateways; ends with 1 when anything is missing. Ctrl-C ends it early.

    Starts a hub for the purpose, with a database of its own that goes at the end, unless --tokens names a running one.
    """
    given = Given(gateways, beds, minutes * 60, min(processes, gateways), CAPTURES)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_by_signal)
    folder = Path(tempfile.mkdtemp(prefix="wl-"))  # short: sockets have short paths; open: the server is another user
    folder.chmod(0o755)
    try:
        if tokens is None:
            places = replace(default_places(os.environ, None), data=folder / "data", database_url=None)
            found = play(given, places, folder, _tell)
        else:
            found = play_at(given, _tokens(tokens, gateways, test_hub), folder, page, ward, new_password(), _tell)
    except KeyboardInterrupt:
        print("ended before there was anything to tell", file=sys.stderr)
        raise typer.Exit(1) from None
    except (LoadError, TokenError, DemoError, ProcessError, StackError, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_json(), indent=1) + "\n", "utf-8")
    print(table(found))
    if not found.is_whole:
        raise typer.Exit(1)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tokens(file: Path, gateways: int, test_hub: str) -> dict[str, str]:
    """By name of the gateway; LoadError for a hub that may be more than a test, and for too few."""
    found: dict[str, str] = {}
    for line in file.read_text("utf-8").split():
        token = parse_token(line)
        host = urlsplit(token.url).hostname or ""
        if not is_loopback(host) and host != test_hub:
            msg = (
                f"The hub {host} is not on this machine. A load disturbs those who depend on a hub and fills its database: "
                f"if it is a test hub, say so with --test-hub {host}"
            )
            raise LoadError(msg)
        found[token.gateway] = line
    if len(found) < gateways:
        msg = f"{file}: {len(found)} tokens, expected one for each of {gateways} gateways"
        raise LoadError(msg)
    return dict(list(found.items())[:gateways])


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, is this machine's own; any other name is not asked of anybody."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
