"""The command `wardlink hub sharing`: what goes up to the hub above."""

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from hub.app import sharing_rules
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.upstream.domain import EVERY_CODE, RecordClass, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hub.upstream.service import SharingRules

app = typer.Typer(help="What goes up to the hub above.", no_args_is_help=True, rich_markup_mode=None)

ClassArgument = Annotated[RecordClass, typer.Argument(help="Which kind of record.")]
CodeOption = Annotated[str, typer.Option(help="One code of the class, as the records have it; else the whole class.")]


@app.command("list")
def list_(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List the rules. Without one nothing goes up."""

    async def work() -> list[Rule]:
        async with _opened(config, tenant) as (rules, tenant_id):
            return await rules.every(principal.operator("sharing list", tenant_id))

    for rule in run(work()):
        print(f"{rule.record_class:10} {rule.code or 'every code':40} {'goes up' if rule.share else 'stays'}")


@app.command()
def share(
    record_class: ClassArgument,
    code: CodeOption = EVERY_CODE,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Let a class, or one code of it, go up from now on."""
    _set(Rule(record_class, code, share=True), tenant, config)


@app.command()
def keep(
    record_class: ClassArgument,
    code: CodeOption = EVERY_CODE,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Keep a class, or one code of it, at this hub from now on."""
    _set(Rule(record_class, code, share=False), tenant, config)


@app.command()
def remove(
    record_class: ClassArgument,
    code: CodeOption = EVERY_CODE,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Take a rule away."""

    async def work() -> None:
        async with _opened(config, tenant) as (rules, tenant_id):
            await rules.remove(principal.operator("sharing remove", tenant_id), record_class, code)

    run(work())
    print("The rule is gone.")


def _set(rule: Rule, tenant: str, config: "Path | None") -> None:
    async def work() -> None:
        async with _opened(config, tenant) as (rules, tenant_id):
            await rules.set(principal.operator("sharing set", tenant_id), rule)

    run(work())
    what = f"{rule.record_class} {rule.code}".rstrip()
    print(f"From now on {what} {'goes up' if rule.share else 'stays here'}.")


@asynccontextmanager
async def _opened(config: "Path | None", tenant: str) -> "AsyncGenerator[tuple[SharingRules, int]]":
    async with sharing_rules(settings_of(config), tenant) as opened:
        yield opened
