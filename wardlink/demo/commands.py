"""The command `wardlink demo`: brings one bed up, prints where to look, and ends everything on Ctrl-C."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from wardlink.demo.installation import DemoError
from wardlink.demo.one_bed import OneBed, Recording
from wardlink.local.errors import StackError
from wardlink.local.places import default_places
from wardlink.processes import ProcessError

CHECKOUT = Path(__file__).resolve().parents[2]
EXCERPT = CHECKOUT / "tests" / "captures" / "vfdb-419-vf"
_LOOK_AGAIN_S = 0.1

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def demo(
    port: Annotated[
        int | None, typer.Option(help="Port of the pages [default: that of the last start, else a free one].")
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with recordings, as of `wardlink recordings get`.")
    ] = None,
    record: Annotated[str, typer.Option(help="Which of them, as DATABASE/RECORD.")] = "vfdb/422",
    start: Annotated[float, typer.Option(help="Begin so many seconds into it.", min=0)] = 0.0,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the data is kept [default: .wardlink in the checkout].")
    ] = None,
) -> None:
    """One bed, from a recorded ECG to the nurse's page, on this machine. Ends with Ctrl-C and keeps its data.

    The amplifier is switched on when the ward page is first painted; the excerpt that comes along goes into ventricular
    flutter 60 s later.
    """
    places = default_places(os.environ, None if data else CHECKOUT)
    if data is not None:
        places = replace(places, data=data.absolute())
    path = EXCERPT if recordings is None else recordings / record
    if not path.with_suffix(".hea").exists():
        print(
            f"There is no recording {path}.\nSee `wardlink recordings get --help`, or leave --recordings out.",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    began_s = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f} s  {text}", flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with OneBed(places, places.data / "one-bed", Recording(path, start), web_port=port, progress=progress) as bed:
            link = bed.invite_nurse()
            progress("ready")
            print(
                f"\n  the ward          {bed.url}\n  one-time link     {link}\n\nCtrl-C ends it; the data is kept.\n",
                flush=True,
            )
            _attend(bed)
    except KeyboardInterrupt:
        print("ended; nothing runs any more", flush=True)
    except (DemoError, ProcessError, StackError) as error:
        print(f"\n{error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _attend(bed: OneBed) -> None:
    """Switch the amplifier on at the first paint; tell when a process ended by itself."""
    on = False
    while True:
        bed.processes.check()
        if not on and bed.page_is_open():
            bed.switch_on()
            on = True
            print("the ward page is open: the amplifier is switched on", flush=True)
        time.sleep(_LOOK_AGAIN_S)
