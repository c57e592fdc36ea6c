"""The command `wardlink edge`: enrol this gateway, run its agent. Texts for a person at a terminal; logs are JSON on standard error."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    name="wardlink edge",
    help="The agent on a gateway.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DEFAULT_STATE = Path("/var/lib/wardlink-edge")


@app.command()
def enrol(
    token: Annotated[str, typer.Argument(help="The one-time token of `wardlink hub gateway add`.")],
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Where the agent keeps its data.")
    ] = DEFAULT_STATE,
) -> None:
    """Make this gateway's key and get its certificate from the hub."""
    from edge.identity import EnrolmentError, IdentityError, TokenError, parse_token, save_identity
    from edge.identity import enrol as ask

    try:
        parsed = parse_token(token)
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = ask(parsed)
        save_identity(state, identity)
    except (TokenError, EnrolmentError, IdentityError, OSError) as error:
        _fail(str(error))
    print(f"Enrolled as {identity.gateway} of {identity.tenant}; the hub's uplink is {identity.uplink}.")


@app.command()
def run(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="TOML file with the settings.")],
) -> None:
    """Run the agent until SIGTERM or Ctrl-C."""
    from edge.update.launch import begin_again, go_over

    go_over(config)
    from edge.health.heap import share_one

    share_one()
    from edge.app import AgentError, IdentityError, configure_logging, run_agent
    from edge.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
        configure_logging()
        again = asyncio.run(run_agent(settings))
    except (SettingsError, AgentError, IdentityError) as error:
        _fail(str(error))
    if again:
        begin_again(config)


@app.command()
def update(
    release: Annotated[Path, typer.Argument(metavar="FILE", help="The release, as `wardlink release sign` left it.")],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="TOML file with the agent's settings.")],
    wait_s: Annotated[
        float, typer.Option("--wait", help="Seconds to wait for what becomes of it.", min=0, max=3600)
    ] = 300,
) -> None:
    """Give the agent of this machine a release; it tries it, and goes back by itself when it does not come up with it."""
    from edge.settings import SettingsError, load_settings
    from edge.update.person import AWAITED, put, wait

    try:
        state_dir = load_settings(config).state_dir
        request = put(state_dir, release)
        answer = wait(state_dir, request, wait_s)
    except (SettingsError, OSError) as error:
        _fail(str(error))
    if answer is None:
        print(AWAITED)
        return
    print(
        f"{answer.version or release.name}: {answer.outcome.replace('_', ' ')}{answer.reason and ': ' + answer.reason}"
    )
    if answer.outcome != "applied":
        raise typer.Exit(1)


@app.command()
def status(
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Where the agent keeps its data.")
    ] = DEFAULT_STATE,
) -> None:
    """Say who this gateway is and how long its certificate is valid."""
    from edge.identity import IdentityError, load_identity
    from edge.identity.store import utc_now
    from edge.update.person import told

    try:
        identity = load_identity(state)
        identity.check(utc_now())
    except IdentityError as error:
        _fail(str(error))
    days = identity.expires_in(utc_now()).days
    print(f"{identity.gateway} of {identity.tenant}; uplink {identity.uplink}; certificate valid for {days} days.")
    for line in told(state):
        print(line)


@app.command("set-clock")
def set_clock(
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Where the agent keeps its data.")
    ] = DEFAULT_STATE,
) -> None:
    """Raise a system clock that cannot be right to the last time that was known, so that TLS works. Before the agent starts."""
    from datetime import UTC, datetime

    from edge.clock.raising import raise_clock

    try:
        set_ns = raise_clock(state)
    except OSError as error:
        _fail(f"the system's clock was not set: {error}")
    if set_ns:
        print(
            f"The system's clock is now {datetime.fromtimestamp(set_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC, no later than the time is."
        )
    else:
        print("The system's clock may be right; it stays.")


class Security(StrEnum):
    """What a device of a CoAP door may authenticate by."""

    OSCORE = "oscore"
    PSK = "psk"


@app.command("device-key")
def device_key(
    security: Annotated[Security, typer.Argument(help="oscore for coap:// doors, psk for coaps:// (DTLS).")],
    device: Annotated[str, typer.Argument(help="The device's name, as the settings have it.")],
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where the settings file lies.")] = Path(),
) -> None:
    """Make what a device and a CoAP door of this gateway share."""
    from firmware_adapters.transport.coap_keys import KeyFileError, make_oscore, make_psk

    try:
        if security is Security.OSCORE:
            own, devices = make_oscore(device, folder)
            print(f'For this gateway: oscore = "{own.name}"')
            print(f"For the device: move {devices} there; no copy stays here.")
        else:
            print(f'For this gateway and, copied, for the device: psk = "{make_psk(device, folder).name}"')
    except (KeyFileError, OSError) as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(1)
