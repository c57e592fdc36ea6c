"""The commands `wardlink hub retention`: what would go, rules, holds."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.app import retention
from hub.command_line import ConfigOption, TenantOption, settings_of
from hub.command_line import run as run_work
from hub.core import principal
from hub.store.retention import DataClass

if TYPE_CHECKING:
    from hub.store.retention import Destroyed, Hold, Rule

app = typer.Typer(help="Retention: what would be destroyed, rules, holds.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def show(context: typer.Context, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Show the rules, the holds, and what the next nightly run would destroy; destroys nothing."""
    if context.invoked_subcommand is not None:
        return

    async def work() -> "tuple[list[Rule], list[Hold], list[Destroyed]]":
        async with retention(settings_of(config), tenant) as (service, tenant_id):
            who = principal.operator("retention", tenant_id)
            return (
                await service.rules(who),
                await service.holds(who),
                await service.expired(who),
            )

    rules, holds, expired = run_work(work())
    for rule in rules:
        print(f"{rule.data:12} {f'kept for {rule.keep_days} days' if rule.keep_days else 'kept for ever'}")
    print(f"{'alarm, audit':12} kept for ever")
    for hold in holds:
        print(
            f"hold {hold.number}: {hold.device or 'every device'} {hold.start:%Y-%m-%d %H:%M} to {hold.end:%Y-%m-%d %H:%M}: {hold.reason}"
        )
    for one in expired:
        print(
            f"would go: {one.data} ({one.kind}) {one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M}, {one.rows} rows"
        )
    if not expired:
        print("Nothing would go.")


@app.command()
def log(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Tell what has been destroyed: when, what, of which time, how many rows, by which rule."""

    async def work() -> "list[tuple[datetime, Destroyed]]":
        async with retention(settings_of(config), tenant) as (service, tenant_id):
            return await service.destroyed(principal.operator("retention log", tenant_id))

    for at, one in run_work(work()):
        stretch = f"{one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M}"
        print(f"{at:%Y-%m-%d %H:%M:%S}  {one.data} ({one.kind}) {stretch}, {one.rows} rows, rule: {one.keep_days} days")


@app.command("set")
def set_rule(
    data: DataClass,
    keep: Annotated[str, typer.Argument(help="Days (1 to 36500), or: forever.")],
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Keep a class of data for so many days."""
    if keep != "forever" and not (keep.isdigit() and 1 <= int(keep) <= 36_500):
        raise typer.BadParameter(f"{keep!r}: expected days (1 to 36500), or: forever")
    days = None if keep == "forever" else int(keep)

    async def work() -> None:
        async with retention(settings_of(config), tenant) as (service, tenant_id):
            await service.set_rule(principal.operator("retention set", tenant_id), data, days)

    run_work(work())
    print(f"{data}: {'kept for ever' if days is None else f'kept for {days} days'}.")


@app.command("hold")
def place_hold(
    start: Annotated[datetime, typer.Option("--from", help="First moment (UTC).")],
    end: Annotated[datetime, typer.Option("--to", help="Moment behind the last (UTC).")],
    reason: Annotated[str, typer.Option(help="Why; a file number, no name.")],
    device: Annotated[str | None, typer.Option(help="Of which device [default: all].")] = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Hold what was measured in a time: it is not destroyed, however old."""
    if end <= start:
        raise typer.BadParameter("--to is not behind --from")

    async def work() -> int:
        async with retention(settings_of(config), tenant) as (service, tenant_id):
            who = principal.operator("retention hold", tenant_id)
            begin, stop = start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
            return await service.hold(who, device, begin, stop, reason)

    print(f"Hold {run_work(work())}.")


@app.command()
def lift(number: int, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Lift a hold."""

    async def work() -> None:
        async with retention(settings_of(config), tenant) as (service, tenant_id):
            await service.lift(principal.operator("retention lift", tenant_id), number)

    run_work(work())
    print(f"Hold {number} is lifted.")
