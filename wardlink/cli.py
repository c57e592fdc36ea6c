"""The command `wardlink`: a table of sub-commands, each imported only when it is called.

What a sub-command does is left to the module that the table names.
"""

import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Annotated, cast

import typer


@dataclass(frozen=True, slots=True)
class SubCommand:
    """A row of the table: where the command lives, what it is for, and the extra whose packages it needs."""

    target: str
    help: str
    extra: str | None = None


TABLE: dict[str, SubCommand] = {
    "demo": SubCommand(
        "wardlink.demo.commands:app",
        "A ward of six beds, from recorded signals to the nurse's page, on this machine.",
        "edge,hub",
    ),
    "stack": SubCommand("wardlink.local.commands:app", "The local database: up, status, down.", "hub"),
    "hub": SubCommand("hub.commands:app", "The hospital or regional platform: run, migrate, gateways, people.", "hub"),
    "upstream": SubCommand(
        "wardlink.upstream.commands:app", "This hub as a gateway of the hub above it: enrol, run, status.", "edge,hub"
    ),
    "trace": SubCommand("hub.traces.commands:app", "Follow one message of a device, hop by hop.", "hub"),
    "edge": SubCommand("edge.commands:app", "The agent on a gateway: enrol, run, status.", "edge"),
    "load": SubCommand(
        "wardlink.load.commands:app",
        "Many simulated gateways at a test hub: delays, rates, what is missing.",
        "edge,hub",
    ),
    "release": SubCommand("wardlink.release.commands:app", "Releases of the agent: key, build, sign, verify.", "edge"),
    "models": SubCommand(
        "wardlink.models:app", "The models of the screening: what is installed, and how each is made."
    ),
    "recordings": SubCommand(
        "wardlink.recordings:app", "Published ECG recordings, fetched from their publisher.", "recordings"
    ),
}

FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def build() -> typer.Typer:
    """Build the command with one forwarding sub-command for each row of `TABLE`."""
    app = typer.Typer(
        name="wardlink",
        help="Edge gateway and regional hub for medical devices.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name, row in TABLE.items():
        app.command(name, help=row.help, context_settings=FORWARD, add_help_option=False)(_forward)
    return app


def main() -> None:
    """Entry point of the `wardlink` command."""
    build()(prog_name="wardlink")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"wardlink {metadata.version('wardlink')}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version  # its callback has answered


def _forward(context: typer.Context) -> None:
    name = str(context.info_name)
    row = TABLE[name]
    try:
        module, attribute = row.target.split(":")
        command = cast("typer.Typer", getattr(import_module(module), attribute))
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if row.extra is None or find_spec(package) is not None:
            raise  # a fault of ours, not a missing extra: the traceback says where
        print(
            f"wardlink {name}: the package {package!r} is not installed; "
            f"this command needs the extra {row.extra!r}: pip install 'wardlink[{row.extra}]'",
            file=sys.stderr,
        )
        raise typer.Exit(2) from None
    command(args=context.args, prog_name=f"wardlink {name}")
