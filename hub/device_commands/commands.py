"""The commands `wardlink hub command`: tell a device to do something, see what it offers and what was asked of it."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from hub.app import device_commands
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.core.errors import InvalidError
from hub.device_commands.domain import Order, value_of
from protocols.device_command import MAX_WITHIN_S, Kind

if TYPE_CHECKING:
    from hub.device_commands.domain import CommandRow, Told
    from protocols.device_command import Parameter

app = typer.Typer(help="Commands to devices: send, list.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def send(
    device: str,
    code: str,
    parameters: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Its parameters.")] = None,
    within_s: Annotated[
        float, typer.Option("--within", help="Seconds in which it has to be begun.", min=1, max=MAX_WITHIN_S)
    ] = 60.0,
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the answer.", min=0, max=600)] = 30.0,
    command_id: Annotated[
        str, typer.Option("--id", metavar="UUID", help="Its id: given again, the same command is not done again.")
    ] = "",
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Tell a device to do something, and say what it answered; ends with 1 unless that was confirmed or nothing could be read back."""

    async def work() -> "CommandRow":
        order = Order(_id(command_id), code, dict(_pair(one) for one in parameters or ()), within_s)
        async with device_commands(settings_of(config), tenant) as (commands, tenant_id):
            operator = principal.operator("command send", tenant_id)
            device_id = await commands.named(operator, device)
            row = await commands.ask(operator, device_id, order)
            until_s = time.monotonic() + wait_s
            while row.is_open and time.monotonic() < until_s:
                await asyncio.sleep(0.2)
                row = await commands.one(operator, device_id, order.command_id)
            return row

    row = run(work())
    print(_line(row))
    if row.state in {"refused", "expired"}:
        raise typer.Exit(1)


@app.command("list")
def list_(device: str, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List what a device offers, and what was asked of it, newest first."""

    async def work() -> "Told":
        async with device_commands(settings_of(config), tenant) as (commands, tenant_id):
            operator = principal.operator("command list", tenant_id)
            return await commands.of(operator, await commands.named(operator, device))

    told = run(work())
    if told.offers is None:
        print(f"The gateway of {device} has not said what it offers: it is older than this hub, or was not here yet.")
    elif not told.offers:
        print(f"{device} takes no commands.")
    for offer in told.offers or ():
        print(f"{offer.code} {' '.join(_parameter(p) for p in offer.parameters)}".rstrip())
    for row in told.commands:
        print(_line(row))


def _id(text: str) -> UUID:
    try:
        return UUID(text) if text else uuid4()
    except ValueError as error:
        raise InvalidError(f"--id {text!r} is no UUID.", "Give one, or leave it out.") from error


def _pair(text: str) -> "tuple[str, bool | int | float | str]":
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidError(f"{text!r}: expected NAME=VALUE.", "As channel=3 on=false.")
    return name, value_of(value)


def _parameter(parameter: "Parameter") -> str:
    match parameter.kind:
        case Kind.BOOLEAN:
            return f"{parameter.name}=true|false"
        case Kind.CHOICE:
            return f"{parameter.name}={'|'.join(parameter.choices)}"
        case _:
            low = "" if parameter.low is None else f"{parameter.low:g}"
            high = "" if parameter.high is None else f"{parameter.high:g}"
            return f"{parameter.name}={low}..{high}{' ' + parameter.unit if parameter.unit else ''}"


def _line(row: "CommandRow") -> str:
    values = " ".join(f"{name}={_text(value)}" for name, value in row.values.items())
    seen = " ".join(f"{name}={_text(value)}" for name, value in row.seen.items())
    why = ": ".join(part for part in (row.reason.replace("_", " "), row.details) if part)
    told = f"{row.state}{' (' + why + ')' if why else ''}{', the device says ' + seen if seen else ''}"
    return f"{row.asked_at:%Y-%m-%d %H:%M:%S}  {row.command_id}  {row.code} {values}  by {row.asked_name}: {told}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
