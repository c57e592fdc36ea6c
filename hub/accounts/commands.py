"""The command `wardlink hub account`: invites people by a one-time link, lists and disables accounts. No password is ever typed here."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from hub.accounts.domain import Invitation, end_of
from hub.app import people
from hub.command_line import ConfigOption, TenantOption, run, settings_of
from hub.core import principal
from hub.core.principal import Role


class InvitedRole(StrEnum):
    """The roles that an account can have."""

    NURSE = Role.NURSE
    DOCTOR = Role.DOCTOR
    ENGINEER = Role.ENGINEER
    BUREAU = Role.BUREAU
    ADMINISTRATOR = Role.ADMINISTRATOR


app = typer.Typer(help="Accounts: add, list, disable.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    name: str,
    role: Annotated[list[InvitedRole], typer.Option("--role", help="May be given again.")],
    ward: Annotated[
        list[str] | None, typer.Option("--ward", help="Which wards a nurse sees; may be given again.")
    ] = None,
    staff_number: Annotated[
        str | None, typer.Option("--staff-number", help="The number by which the hospital knows the person.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Last day; the account then ends by itself."),
    ] = None,
    display_name: Annotated[str, typer.Option("--display-name", help="The name that others see [default: NAME].")] = "",
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    *,
    reset_second_factor: Annotated[
        bool, typer.Option("--reset-second-factor", help="The person lost it, and sets up another by the link.")
    ] = False,
) -> None:
    """Invite a person and print the one-time link; an account that is there gets a new link and these roles and wards."""

    async def work() -> str:
        settings = settings_of(config)
        async with people(settings, tenant) as found:
            roles = frozenset(Role(one) for one in role)
            invitation = Invitation(
                name, display_name or name, roles, tuple(ward or ()), staff_number, reset_second_factor, end_of(until)
            )
            token = await found.accounts.invite(principal.operator("account add", found.tenant_id), invitation)
        return f"{settings.web_public or f'http://{settings.web_listen}'}/welcome/{token}"

    print(run(work()))
    print("Valid 24 h, once: the person chooses a password there.", file=sys.stderr)


@app.command("list")
def list_(tenant: TenantOption = "default", config: ConfigOption = None) -> None:
    """List accounts: name, state, roles, wards."""

    async def work() -> list[str]:
        async with people(settings_of(config), tenant) as found:
            accounts = await found.accounts.every(principal.operator("account list", found.tenant_id))
        now = datetime.now(UTC)
        return [f"{a.name:24} {a.state(now):10} {','.join(a.roles):24} {','.join(a.wards)}" for a in accounts]

    print(
        "\n".join(run(work()))
        or "There are no accounts. Invite somebody with: wardlink hub account add NAME --role nurse"
    )


@app.command()
def disable(
    name: str,
    tenant: TenantOption = "default",
    config: ConfigOption = None,
    *,
    for_good: Annotated[
        bool, typer.Option("--for-good", help="Close it: the person has left, and the name is not given again.")
    ] = False,
) -> None:
    """Let nobody in under this name any more, and end its sessions at once."""

    async def work() -> None:
        async with people(settings_of(config), tenant) as found:
            who = principal.operator("account disable", found.tenant_id)
            await (found.accounts.close if for_good else found.accounts.disable)(who, name)

    run(work())
    print(f"{name} is {'closed' if for_good else 'disabled'}.")
