"""The command `wardlink upstream`: make this hub a gateway of the hub above it. `wardlink hub run --upstream` runs the way up."""

import asyncio
from typing import Annotated

import typer

from hub.command_line import ConfigOption, settings_of

app = typer.Typer(
    name="wardlink upstream",
    help="This hub as a gateway of the hub above it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def enrol(
    token: Annotated[str, typer.Argument(help="The one-time token of `wardlink hub gateway add --forwards` there.")],
    config: ConfigOption = None,
) -> None:
    """Make this hub's key and get its certificate from the hub above."""
    from edge.commands import enrol as ask
    from wardlink.upstream.app import folder_of

    ask(token, folder_of(settings_of(config)))


@app.command()
def status(config: ConfigOption = None) -> None:
    """Say as whom this hub goes up, and how long its certificate is valid."""
    from edge.commands import status as tell
    from wardlink.upstream.app import folder_of

    tell(folder_of(settings_of(config)))


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the way up alone, until SIGTERM or Ctrl-C."""
    from edge.alone import InUseError
    from edge.identity import IdentityError
    from edge.spool import SpoolKeyError, WriterEndedError
    from hub.app import set_up_logging
    from hub.command_line import fail
    from hub.core.errors import DomainError, InvalidError
    from wardlink.upstream.app import run_upstream

    set_up_logging()
    try:
        asyncio.run(run_upstream(settings_of(config)))
    except DomainError as error:
        fail(error)
    except (IdentityError, InUseError, SpoolKeyError, WriterEndedError) as error:
        fail(InvalidError(f"{error}.", "See `wardlink upstream --help`.", reason="upstream"))
