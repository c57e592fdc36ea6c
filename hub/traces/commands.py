"""The command `wardlink trace`: one message of a device, hop by hop."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.app import tracing
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.traces.domain import Trace, absent, hops, moment, unseen

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def trace(
    device: Annotated[str, typer.Argument(help="Name of the device, as the ledger has it.")],
    within: Annotated[float, typer.Option(help="Seconds to wait for its next message.", min=0.5, max=600)] = 30.0,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Follow the next message of a device from its clock through the agent and the hub to the paint on a page: each hop with its time and what it took."""

    async def work() -> Trace:
        async with tracing(settings_of(config), tenant) as (traces, tenant_id):
            return await traces.follow(principal.operator("trace", tenant_id), device, within)

    found = run(work())
    if not found.came:
        print(f"Nothing of {device} came within {within:g} s; last heard: {moment(found.last_seen)}.", file=sys.stderr)
        for why in absent(found):
            print(f"  {why}", file=sys.stderr)
        raise typer.Exit(1)
    told = found.told
    print(f"{told['source']}  {told['kind']}  {told.get('code', '')}".rstrip())
    print(
        f"batch {told['n']} of lane {told['lane']}, {told['records']} records, gateway {told['gateway']}, epoch {told['epoch']}"
    )
    print(f"\n{'hop':<40} {'time (UTC)':<16} {'clock':<8} {'took':>12}")
    is_over = False
    for hop in hops(found):
        at = datetime.fromtimestamp(hop.at_ns / 1e9, UTC)
        took = "" if hop.after_s is None else f"{1000 * hop.after_s:.1f} ms{'*' if hop.is_over else ' '}"
        print(f"{hop.what:<40} {at:%H:%M:%S.%f}  {hop.clock:<8} {took:>13}".rstrip())
        is_over = is_over or hop.is_over
    if is_over:
        print("* between two clocks: what they differ by is in it")
    for what in unseen(found):
        print(f"not seen: {what}")
