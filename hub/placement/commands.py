"""The command `wardlink hub seed`: wards, beds, devices, patients and limits from a file."""

from pathlib import Path
from typing import Annotated

import typer

from hub.app import people
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.placement.seed import plant, read_seed


def seed(
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="TOML file; docs/reference/seed.md shows its form.")
    ],
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Make the wards, beds, devices, patients and limits of a file; can be run again."""

    async def work() -> int:
        content = read_seed(file)
        async with people(settings_of(config), tenant) as found:
            await plant(found.placement, principal.operator("seed", found.tenant_id), content)
        return len(content.bed)

    print(f"{run(work())} beds are as {file} says.")
