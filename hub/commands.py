"""The command `wardlink hub`: run, migrate, gateways, updates, devices, accounts, audit, retention, settings. Prints what a person does next; leaves the work to services."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.accounts.commands import app as accounts
from hub.app import (
    UPSTREAM,
    HubRole,
    audit_verification,
    device_ledger,
    gateway_service,
    required,
    run_all,
    run_role,
    set_up_logging,
)
from hub.clocks.commands import app as clocks
from hub.command_line import ConfigOption, TenantOption, fail, settings_of
from hub.command_line import run as run_work
from hub.core import principal
from hub.core.errors import DomainError
from hub.device_commands.commands import app as device_commands
from hub.gateways.commands import configuration, configure
from hub.placement.commands import seed
from hub.settings import HubSettings
from hub.store.commands import app as retention
from hub.updates.commands import app as updates
from hub.upstream.commands import app as sharing

if TYPE_CHECKING:
    from hub.core.audit_check import Checked

TIME_FORMATS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]

app = typer.Typer(
    name="hub",
    help="The hospital or regional platform.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
gateways = typer.Typer(
    help="Gateways: add, list, certificates, configure, resend, revoke.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(gateways, name="gateway")
gateways.command()(configure)
gateways.command()(configuration)
devices = typer.Typer(help="Devices: admit one, or all as they come.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(devices, name="device")
app.add_typer(device_commands, name="command")
app.add_typer(clocks, name="clock")
app.add_typer(accounts, name="account")
audit = typer.Typer(help="The audit: verify.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(audit, name="audit")
app.add_typer(retention, name="retention")
app.add_typer(sharing, name="sharing")
app.add_typer(updates, name="update")
app.command()(seed)


@app.command()
def run(
    role: Annotated[list[HubRole] | None, typer.Option("--role", help="Which roles [default: all three].")] = None,
    config: ConfigOption = None,
    *,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="And hand on to the hub above what the rules of sharing let go up.")
    ] = False,
) -> None:
    """Run the hub until Ctrl-C or SIGTERM."""
    set_up_logging()
    roles = role or list(HubRole)
    arguments = ["--config", str(config.absolute())] if config else []
    if len(roles) > 1 or upstream:
        raise typer.Exit(run_all([*roles, UPSTREAM] if upstream else roles, arguments))
    run_work(run_role(roles[0], settings_of(config)))


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this version; does nothing that is already done."""
    from hub.migrations.runner import migrate as apply

    try:
        applied = apply(required(settings_of(config).owner_url, "owner_url"))
    except DomainError as error:
        fail(error)
    print("\n".join(f"applied {name}" for name in applied) or "The database is up to date.")


@app.command()
def settings() -> None:
    """List every setting with its default."""
    for name, field in HubSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        print(
            f"HUB_{name.upper():20} {field.description} [default: {default if default not in (None, '', []) else 'none'}]"
        )


@gateways.command()
def add(
    name: str,
    tenant: TenantOption = "default",
    hours: Annotated[float, typer.Option(help="How long the token is valid.", min=0.01, max=168)] = 1.0,
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name or address by which browsers reach its local page; may be given several times.",
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    forwards: Annotated[
        bool, typer.Option("--forwards", help="It is a hub: it hands on what gateways of its own took in.")
    ] = False,
) -> None:
    """Add a gateway and print its one-time token."""
    from hub.gateways.service import tenant_id_of

    async def work() -> str:
        settings = settings_of(config)
        url = required(settings.web_url, "web_url")
        async with gateway_service(settings, url) as service:
            tenant_id = await tenant_id_of(service.database, tenant)
            operator = principal.operator("gateway add", tenant_id)
            return await service.add(operator, tenant, name, hours * 3600, address or (), forwards=forwards)

    token = run_work(work())
    print(token)
    print(f"Valid {hours:g} h, once. On the gateway: wardlink edge enrol TOKEN", file=sys.stderr)


@gateways.command("list")
def list_(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List gateways: name, when added, certificate valid until, last data stored."""
    from hub.gateways.domain import GatewayRow
    from hub.gateways.listing import GatewayList
    from hub.gateways.service import tenant_id_of

    async def work() -> list[GatewayRow]:
        settings = settings_of(config)
        async with gateway_service(settings, required(settings.web_url, "web_url")) as service:
            tenant_id = await tenant_id_of(service.database, tenant)
            every = GatewayList(service.database, service.audit)
            return await every.find(principal.operator("gateway list", tenant_id))

    for row in run_work(work()):
        state = "revoked" if row.revoked_at else "enrolled" if row.certificate_until else "not enrolled"
        until = f"{row.certificate_until:%Y-%m-%d}" if row.certificate_until else "-"
        last = f"{row.last_stored_at:%Y-%m-%d %H:%M:%S}" if row.last_stored_at else "-"
        print(f"{row.name:24} {state:13} added {row.added_at:%Y-%m-%d}  certificate until {until:10}  last data {last}")


@gateways.command()
def revoke(
    name: str,
    reason: Annotated[str, typer.Option(help="Why; stands in the audit.")] = "",
    serial: Annotated[
        str, typer.Option(metavar="SERIAL", help="This certificate only, and those that were renewed from it.")
    ] = "",
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Revoke a gateway, or one of its certificates: who uses it is cut off within seconds and refused from now on."""
    from hub.gateways.service import tenant_id_of

    async def work() -> list[str]:
        settings = settings_of(config)
        async with gateway_service(settings, required(settings.web_url, "web_url")) as service:
            operator = principal.operator("gateway revoke", await tenant_id_of(service.database, tenant))
            if serial:
                return await service.revoke_certificate(operator, name, serial, reason)
            await service.revoke(operator, name, reason)
            return []

    serials = run_work(work())
    print(f"Certificates of {name} revoked: {', '.join(serials)}." if serials else f"{name} is revoked.")


@gateways.command()
def certificates(name: str, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List a gateway's certificates that have not expired: serial, when issued, until when, renewed from which."""
    from hub.gateways.service import CertificateRow, tenant_id_of

    async def work() -> list[CertificateRow]:
        settings = settings_of(config)
        async with gateway_service(settings, required(settings.web_url, "web_url")) as service:
            operator = principal.operator("gateway certificates", await tenant_id_of(service.database, tenant))
            return await service.certificates(operator, name)

    for row in run_work(work()):
        state = f"revoked {row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else "valid"
        print(
            f"{row.serial:40} {state:24} issued {row.issued_at:%Y-%m-%d %H:%M}  until {row.not_after:%Y-%m-%d %H:%M}"
            f"  renewed from {row.renewed_from or '-'}"
        )


@gateways.command()
def resend(
    name: str,
    begin: Annotated[datetime, typer.Option("--from", help="From when on, in UTC.", formats=TIME_FORMATS)],
    end: Annotated[datetime, typer.Option("--to", help="Until when, in UTC.", formats=TIME_FORMATS)],
    lane: Annotated[str, typer.Option(help="event, numeric or waveform.")] = "waveform",
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for its answer.", min=0, max=600)] = 10.0,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Ask a gateway again for what it took in between two times; what is not there is stored."""
    from hub.gateways.service import ResendAnswer, tenant_id_of

    async def work() -> ResendAnswer | None:
        settings = settings_of(config)
        async with gateway_service(settings, required(settings.web_url, "web_url")) as service:
            operator = principal.operator("gateway resend", await tenant_id_of(service.database, tenant))
            request = await service.ask_again(operator, name, lane, begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
            answer = await service.answer_of(operator, request)
            until_s = time.monotonic() + wait_s
            while answer is None and time.monotonic() < until_s:
                await asyncio.sleep(0.2)
                answer = await service.answer_of(operator, request)
            return answer

    answer = run_work(work())
    if answer is None:
        print(f"{name} has not answered yet; it is asked again whenever it connects.")
    elif answer.kept_from is None:
        print(f"{name} keeps nothing of lane {lane}.")
    else:
        print(
            f"{answer.batches} batches of lane {lane} come again; {name} keeps some since {answer.kept_from:%Y-%m-%d %H:%M:%S} UTC."
        )


@devices.command()
def admit(name: str, tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """Admit a device that waits: what it measured meanwhile is stored, and it may be placed at a bed."""

    async def work() -> None:
        async with device_ledger(settings_of(config), tenant) as (ledger, tenant_id):
            await ledger.admit_named(principal.operator("device admit", tenant_id), name)

    run_work(work())
    print(f"{name} is admitted.")


@devices.command("policy")
def device_policy(
    admission: Annotated[str, typer.Argument(help="required: each waits until it is admitted; open: none does.")],
    tenant: TenantOption = "default",
    config: ConfigOption = None,
) -> None:
    """Say whether new devices of enrolled gateways wait for admission."""

    async def work() -> None:
        async with device_ledger(settings_of(config), tenant) as (ledger, tenant_id):
            await ledger.set_policy(principal.operator("device policy", tenant_id), admission)

    run_work(work())
    print(f"Admission of new devices: {admission}.")


@audit.command()
def verify(config: ConfigOption = None) -> None:
    """Check that no entry of the audit was changed or removed; ends with 1 when one was. The worker does the same every night."""

    async def work() -> "Checked":
        async with audit_verification(settings_of(config)) as verification:
            return await verification.verify(principal.operator("audit verify"))

    checked = run_work(work())
    for found in checked.breaks:
        print(f"{found.writer} entry {found.seq}: {found.reason}", file=sys.stderr)
    if checked.breaks:
        print("Keep the database as it is, and compare it with a backup from before.", file=sys.stderr)
        raise typer.Exit(1)
    entries = sum(head.seq for head in checked.heads)
    print(f"{entries} entries of {len(checked.heads)} writers are as they were written. Digest {checked.digest}")
