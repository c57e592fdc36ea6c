"""The command `wardlink trace`: one message of a device, hop by hop."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.app import tracing
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.traces.domain import hops

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def trace(
    device: Annotated[str, typer.Argument(help="Name of the device, as the ledger has it.")],
    within: Annotated[float, typer.Option(help="Seconds to wait for its next message.", min=0.5, max=600)] = 30.0,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Follow the next message of a device from its clock to the push to the pages: each hop with its time and what it took."""

    async def work() -> tuple[dict[str, object] | None, datetime | None]:
        async with tracing(settings_of(config), tenant) as (traces, tenant_id):
            return await traces.follow(principal.operator("trace", tenant_id), device, within)

    told, last_seen = run(work())
    if told is None:
        heard = "never" if last_seen is None else f"{last_seen.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        print(f"Nothing of {device} came within {within:g} s; last heard: {heard}.", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{told['source']}  {told['kind']}  {told.get('code', '')}".rstrip())
    print(
        f"batch {told['n']} of lane {told['lane']}, {told['records']} records, gateway {told['gateway']}, epoch {told['epoch']}"
    )
    for hop in hops(told):
        at = datetime.fromtimestamp(hop.at_ns / 1e9, UTC)
        after = "" if hop.after_s is None else f"{1000 * hop.after_s:+10.1f} ms"
        print(f"{hop.what:40} {at:%H:%M:%S.%f} UTC by the {hop.clock + ':':9}{after}".rstrip().rstrip(":"))
