"""The command `wardlink demo`: brings a ward up, prints where to look, lets things go wrong on request, ends everything on Ctrl-C."""

import os
import signal
import sys
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wardlink.demo.faults import LONGEST_S, STOP_HUB, Faults, ask
from wardlink.demo.installation import DemoError, Installation
from wardlink.demo.rigs.rig import DROP_LINK, GARBAGE, PULL_LEAD, WRONG_CLOCK
from wardlink.demo.ward import BEDS, Recordings, done_without, ward
from wardlink.local.errors import StackError
from wardlink.local.places import Places, default_places
from wardlink.processes import ENDING, ProcessError, end_by_signal

CHECKOUT = Path(__file__).resolve().parents[2]
CAPTURES = CHECKOUT / "tests" / "captures"
_FOLDER = "ward"
_LOOK_AGAIN_S = 0.1

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where the data is kept [default: .wardlink in the checkout]."),
]


class Fault(StrEnum):
    """What the command line offers."""

    PULL_LEAD = PULL_LEAD
    DROP_LINK = DROP_LINK
    GARBAGE = GARBAGE
    WRONG_CLOCK = WRONG_CLOCK
    STOP_HUB = STOP_HUB


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    beds: Annotated[int, typer.Option(help="How many beds.", min=1, max=BEDS)] = BEDS,
    speed: Annotated[float, typer.Option(help="How fast the devices play their recordings.", min=0.1, max=4)] = 1.0,
    port: Annotated[
        int | None, typer.Option(help="Port of the pages [default: that of the last start, else a free one].")
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Play whole recordings instead of excerpts: cinc2015, vfdb, mitdb, ecg12 and ludb below DIR, as `wardlink recordings get` "
            "fetches them. Put there by hand: files/aecg/*_example.xml, an ECG that bed 6's cart is to leave first.",
        ),
    ] = None,
    data: DataFolder = None,
    *,
    secure_local_page: Annotated[
        bool,
        typer.Option(
            "--secure-local-page",
            help="The gateway's own page by https, as in a hospital: for a browser that trusts the hub's authority. Without, "
            "any browser of this machine goes over to it.",
        ),
    ] = False,
) -> None:
    """A ward of six beds, from recorded signals to the nurse's page, on this machine. Ends with Ctrl-C and keeps its data.

    The devices are switched on when the ward page is first painted; bed 1 goes into ventricular fibrillation 60 s later.
    """
    if context.invoked_subcommand is not None:
        return
    places = _places(data)
    try:
        chosen = ward(Recordings(CAPTURES, recordings), beds)
    except FileNotFoundError as error:
        print(f"{error}\nOr leave --recordings out: excerpts are played then.", file=sys.stderr)
        raise typer.Exit(2) from error
    if without := done_without(chosen, recordings):
        print(without, flush=True)
    began_s = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f} s  {text}", flush=True)

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, end_by_signal)
    folder = places.data / _FOLDER
    try:
        with Installation(
            places,
            folder,
            chosen,
            web_port=port,
            progress=progress,
            speed=speed,
            secure_local_page=secure_local_page,
        ) as site:
            people = site.invite_all("nurse", "engineer")
            progress("ready")
            print(f"\n  the ward          {site.url}")
            for role, link in people.items():
                print(f"  one-time link     {link}   ({role})")
            if secure_local_page:
                print(f"  the gateway       {site.local_page}   (a browser has to trust {site.authority})")
            print(
                "\nSomething goes wrong: `wardlink demo fault --help`. Ctrl-C ends it; the data is kept.\n", flush=True
            )
            with Faults(site, folder) as faults:
                _attend(site, faults)
    except KeyboardInterrupt:
        print("ended; nothing of it runs any more", flush=True)
    except (DemoError, ProcessError, StackError) as error:
        print(f"\n{error}", file=sys.stderr)
        raise typer.Exit(1) from error


@app.command("fault")
def fault(
    name: Annotated[Fault, typer.Argument(help="What goes wrong.", show_default=False)],
    bed: Annotated[str, typer.Argument(help=f"At which bed; none for {STOP_HUB}.")] = "",
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="For how long [default: 20, stop-hub 120].")
    ] = None,
    data: DataFolder = None,
) -> None:
    """Let something go wrong in the demo that runs: a lead off, a link away, noise on it, a device's clock, the hub."""
    lasts_s = seconds if seconds is not None else 120.0 if name == STOP_HUB else 20.0
    if not 0 < lasts_s <= LONGEST_S:
        print(f"--for {lasts_s:g}: expected more than 0 and at most {LONGEST_S:.0f} seconds", file=sys.stderr)
        raise typer.Exit(2)
    if (name == STOP_HUB) == bool(bed):
        print(f"{name}: expected {'no bed' if bed else 'a bed, as 1'}", file=sys.stderr)
        raise typer.Exit(2)
    try:
        print(ask(_places(data).data / _FOLDER, name.value, bed, lasts_s))
    except DemoError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error


def _places(data: Path | None) -> Places:
    places = default_places(os.environ, None if data else CHECKOUT)
    return places if data is None else replace(places, data=data.absolute())


def _attend(site: Installation, faults: Faults) -> None:
    """Switch the devices on at the first paint; do what is asked for; tell when a process ended by itself."""
    on = False
    while True:
        site.processes.check()
        faults.attend(lambda text: print(text, flush=True))
        if not on and site.page_is_open():
            site.switch_on()
            on = True
            print("the ward page is open: the devices are switched on", flush=True)
        time.sleep(_LOOK_AGAIN_S)
