"""The commands `wardlink hub gateway configure` and `configuration`: settings that the hub gives a gateway."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.app import gateway_service, required
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.core.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hub.core.principal import Principal
    from hub.gateways.configuration import ConfigurationRow, GatewayConfigurations

_OPEN = ("waiting", "sent")


def configure(
    name: str,
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="TOML file: what is to lie above the gateway's own settings.")
    ],
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for its answer.", min=0, max=600)] = 90.0,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Give a gateway settings above those of its file; it tries them, and goes back by itself when it does not come up with them."""

    async def work() -> "ConfigurationRow":
        try:
            toml = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(f"{file} cannot be read: {error}", "Give a TOML file.") from error
        async with _service(config, tenant, "gateway configure") as (service, operator):
            version = await service.configure(operator, name, toml)
            until_s = time.monotonic() + wait_s
            while True:
                row = next(r for r in await service.versions(operator, name) if r.version == version)
                if row.state not in _OPEN or time.monotonic() >= until_s:
                    return row
                await asyncio.sleep(0.5)

    row = run(work())
    print(f"Version {row.version} of {name}: {_told(row)}")
    if row.state == "waiting":
        print("It gets it when it connects; an agent that is older than this hub does not.", file=sys.stderr)
    if row.state in {"refused", "rolled_back"}:
        raise typer.Exit(1)


def configuration(
    name: str,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Print the text of this version.", min=1)
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """List the settings that a gateway was given: version, when, by whom, what became of it."""

    async def work() -> "list[ConfigurationRow]":
        async with _service(config, tenant, "gateway configuration") as (service, operator):
            return await service.versions(operator, name)

    for row in run(work()):
        if row.version == version:
            print(row.toml, end="")
        if version is None:
            print(f"{row.version:5}  {row.made_at:%Y-%m-%d %H:%M:%S}  {row.made_by:28} {_told(row)}")


@asynccontextmanager
async def _service(
    config: Path | None, tenant: str, command: str
) -> "AsyncGenerator[tuple[GatewayConfigurations, Principal]]":
    from hub.gateways.configuration import GatewayConfigurations
    from hub.gateways.service import tenant_id_of

    settings = settings_of(config)
    async with gateway_service(settings, required(settings.web_url, "web_url")) as service:
        operator = principal.operator(command, await tenant_id_of(service.database, tenant))
        yield GatewayConfigurations(service.database, service.audit), operator


def _told(row: "ConfigurationRow") -> str:
    at = f" {row.state_at:%Y-%m-%d %H:%M:%S}" if row.state_at else ""
    return f"{row.state.replace('_', ' ')}{at}{': ' + row.reason if row.reason else ''}"
