"""The commands `wardlink hub update`: add a release, plan its rollout, look at it, pause, resume and cancel it."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypeVar

import typer

from hub.app import updates
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.core.errors import InvalidError
from hub.updates.domain import GatewayPart
from hub.updates.service import Plan, RolloutRow
from protocols.release import MAX_HEAD_BYTES, ReleaseError, read_head

if TYPE_CHECKING:
    from hub.core.principal import Principal
    from hub.updates.service import Updates

T = TypeVar("T")
_READ_BYTES = 1 << 20

app = typer.Typer(
    help="Updates of gateways: add, plan, status, pause, resume, cancel.", no_args_is_help=True, rich_markup_mode=None
)

RolloutArgument = Annotated[int | None, typer.Argument(metavar="[ROLLOUT]", help="Its number; else the open one.")]


@app.command()
def add(
    release: Annotated[Path, typer.Argument(metavar="FILE", help="A signed release (wardlink release).")],
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Take a signed release into the hub. Gateways check the signature themselves; no key is needed here."""

    async def work(service: "Updates", operator: "Principal") -> str:
        try:
            with release.open("rb") as file:
                data = file.read(MAX_HEAD_BYTES)
                head = read_head(data)
                if head is None:
                    raise InvalidError(f"{release} ends before its head does.", "Take the file again.")
                file.seek(head.size)
                await service.add(operator, head, data[: head.size], _pieces(file))
        except (OSError, ReleaseError) as error:
            raise InvalidError(f"{release} cannot be used: {error}.", "Give a release that was signed.") from error
        return f"{head.manifest.version} is here, {head.archive_bytes} bytes: {head.digest.hex()}"

    print(_with(config, tenant, "update add", work))


@app.command()
def plan(
    version: Annotated[str, typer.Argument(help="Of a release that was added.")],
    stages: Annotated[
        str, typer.Option("--stages", help="How many gateways have it after each stage, numbers or percents.")
    ] = "1,25%,100%",
    soak: Annotated[
        float, typer.Option("--soak", metavar="HOURS", help="How long those that have it must be well.", min=0, max=720)
    ] = 24.0,
    first: Annotated[
        list[str] | None, typer.Option("--first", metavar="NAME", help="A gateway that comes before the others.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--gateway", metavar="NAME", help="No other gateways than those named.")
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Begin a rollout: the first stage is offered at once, the next when all that have it were well for the soak time."""
    wish = Plan(version, stages, round(soak * 3600), tuple(first or ()), tuple(only or ()))
    print(_line(_with(config, tenant, "update plan", lambda service, operator: service.plan(operator, wish))))


@app.command()
def status(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List the newest rollouts, and what became of each gateway in the newest of them."""

    async def work(service: "Updates", operator: "Principal") -> list[RolloutRow]:
        return await service.rollouts(operator)

    found = _with(config, tenant, "update status", work)
    for one in found:
        print(_line(one))
    for gateway in found[0].gateways if found else []:
        at = f" {gateway.state_at:%Y-%m-%d %H:%M:%S}" if gateway.state_at else ""
        more = gateway.reason or ("" if gateway.well else "not well")
        print(f"  {gateway.stage + 1:2} {gateway.name:24} {_words(gateway.state)}{at}{': ' + more if more else ''}")


@app.command()
def pause(rollout: RolloutArgument = None, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Offer a release to nobody else for now; who tries it already goes on."""
    _act(rollout, "pause", tenant, config)


@app.command()
def resume(rollout: RolloutArgument = None, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Let a rollout go on that was paused, or that has halted: without the gateways that failed."""
    _act(rollout, "resume", tenant, config)


@app.command()
def cancel(rollout: RolloutArgument = None, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """End a rollout; who has the release keeps it."""
    _act(rollout, "cancel", tenant, config)


def _act(rollout: int | None, act: str, tenant: str, config: Path | None) -> None:
    row = _with(config, tenant, f"update {act}", lambda service, operator: service.act(operator, rollout, act))
    print(_line(row))


def _with(config: Path | None, tenant: str, command: str, work: "Callable[[Updates, Principal], Awaitable[T]]") -> T:
    async def opened() -> T:
        async with updates(settings_of(config), tenant) as (service, tenant_id):
            return await work(service, principal.operator(command, tenant_id))

    return run(opened())


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(_READ_BYTES):
        yield data


def _line(row: RolloutRow) -> str:
    applied, failed = row.count(GatewayPart.APPLIED), row.count(GatewayPart.REFUSED, GatewayPart.ROLLED_BACK)
    told = f"{row.rollout_id:4}  {row.version:12} {row.state:9} stage {row.stage} of {row.of_stages} ({row.stages})"
    told += f"  {applied} of {len(row.gateways)} updated, {failed} failed"
    return f"{told}: {row.reason}" if row.reason else told


def _words(state: GatewayPart) -> str:
    return state.replace("_", " ")
