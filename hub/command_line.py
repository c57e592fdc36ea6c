"""What the commands of the hub have in common: their options, and errors told in words."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from hub.core.errors import DomainError
from hub.settings import HubSettings, load_settings

T = TypeVar("T")

ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with the settings.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="Which hospital or region.")]


def settings_of(config: Path | None) -> HubSettings:
    """Read the settings of a command."""
    return load_settings(config)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; a refusal is told in its own words, without a traceback."""
    try:
        return asyncio.run(work)
    except DomainError as error:
        fail(error)


def fail(error: DomainError) -> NoReturn:
    """Say what is wrong and what to do, and leave."""
    print(f"{error.detail}\n{error.what_to_do}".strip(), file=sys.stderr)
    raise typer.Exit(1) from error
