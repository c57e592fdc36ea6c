"""The commands `wardlink hub clock`: the segments of a device's clock, put the times of one right, take that back."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hub.app import device_clocks, open_sealed
from hub.clocks.domain import Correction, Preview, Retiming, Segment
from hub.clocks.service import SealedError
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_TRIES = 3

app = typer.Typer(help="Clocks of devices: segments, retime, undo.", no_args_is_help=True, rich_markup_mode=None)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the log of moves and in the audit.")]


@app.command()
def segments(device: str, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List the segments of a device's clock, with what lies in them, and the moves that were done."""

    async def work() -> tuple[list[Segment], list[Retiming]]:
        async with device_clocks(settings_of(config), tenant) as (clocks, tenant_id):
            operator = principal.operator("clock segments", tenant_id)
            return await clocks.of(operator, await clocks.named(operator, device))

    found, moves = run(work())
    for one in found:
        print(_segment_line(one))
    for move in moves:
        undone = f"  undone {move.undone_at:%Y-%m-%d %H:%M} by {move.undone_by}" if move.undone_at else ""
        print(
            f"move {move.retiming_id}: segment {move.segment_id} {_words(move.correction)}, by {move.who}: {move.reason}{undone}"
        )


@app.command()
def retime(
    device: str,
    *,
    segment: Annotated[int, typer.Option("--segment", help="Its number in the list of segments.")],
    reason: ReasonOption,
    shift_s: Annotated[
        float | None, typer.Option("--shift-s", help="Seconds to add to the times; without it, as the readings tell.")
    ] = None,
    drift_ppm: Annotated[float, typer.Option("--drift-ppm", help="And of the time since the segment's begin.")] = 0.0,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without it, only show what would be done.")] = False,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Put the times of a segment right: show what would be moved, or move it."""

    async def work() -> tuple[Preview, Retiming | None]:
        async with device_clocks(settings_of(config), tenant) as (clocks, tenant_id):
            operator = principal.operator("clock retime", tenant_id)
            device_id = await clocks.named(operator, device)
            seen = await clocks.preview(operator, device_id, segment, shift_s, drift_ppm)
            if not apply:
                return seen, None
            move = partial(clocks.retime, operator, device_id, segment, shift_s, drift_ppm, reason=reason)
            return seen, await _opened(config, move)

    seen, done = run(work())
    print(_segment_line(seen.segment))
    if seen.new_from and seen.new_to:
        print(f"{_words(seen.correction)}: {seen.new_from:%Y-%m-%d %H:%M:%S} to {seen.new_to:%Y-%m-%d %H:%M:%S}")
    print(f"Alarms in it, which keep their times and are marked: {seen.alarms}.")
    if done is None:
        print("Nothing was moved. With --apply it is.")
    else:
        print(f"Move {done.retiming_id}: {done.observations} readings, {done.waveforms} groups of samples.")


@app.command()
def undo(move: int, reason: ReasonOption, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Take a move back."""

    async def work() -> Retiming:
        async with device_clocks(settings_of(config), tenant) as (clocks, tenant_id):
            undone = partial(clocks.undo, principal.operator("clock undo", tenant_id), move, reason=reason)
            return await _opened(config, undone)

    run(work())
    print(f"Move {move} is taken back.")


async def _opened(config: "Path | None", move: "Callable[[], Awaitable[Retiming]]") -> Retiming:
    """Move, behind opening what is sealed; the worker may just be sealing it again, so more than once."""
    for _ in range(_TRIES):
        try:
            return await move()
        except SealedError as sealed:
            await open_sealed(settings_of(config), sealed.segment_id)
    return await move()


def _segment_line(one: Segment) -> str:
    when = (
        f"{one.from_time:%Y-%m-%d %H:%M:%S} to {one.to_time:%Y-%m-%d %H:%M:%S}"
        if one.from_time and one.to_time
        else "-"
    )
    moved = f", moved from {one.moved_from}" if one.moved_from else ""
    return f"segment {one.segment_id} ({one.gateway}{moved}): {when}, {one.observations} readings, {one.waveforms} groups of samples"


def _words(correction: Correction) -> str:
    return f"{correction.shift_s:+.6f} s {correction.drift_ppm:+.3f} ppm ({correction.model})"
