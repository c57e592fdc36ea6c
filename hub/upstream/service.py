"""What can be done with the rules of sharing: list, set, remove. Each change is audited."""

from typing import TYPE_CHECKING

from hub.core.errors import ConflictError, InvalidError, NotFoundError
from hub.core.policy import policy
from hub.core.principal import Principal, tenant_of
from hub.core.sql import load_queries
from hub.upstream.domain import EVERY_CODE, RecordClass, Rule

if TYPE_CHECKING:
    from hub.core.audit import AuditLog
    from hub.core.db import Database

_QUERIES = load_queries("hub.upstream")
_LONGEST_CODE = 200


class SharingRules:
    """The service. `database` as the role web."""

    def __init__(self, database: "Database", audit: "AuditLog") -> None:
        self.database, self.audit = database, audit

    @policy("sharing.read")
    async def every(self, principal: Principal) -> list[Rule]:
        """The rules of the tenant; none means that nothing goes up."""
        tenant_id = tenant_of(principal)
        async with self.database.transaction(tenant_id) as connection:
            found = await connection.execute(_QUERIES["rules_of_tenant"], {"tenant": tenant_id})
            return [Rule(RecordClass(name), code, share) async for name, code, share in found]

    @policy("sharing.change")
    async def set(self, principal: Principal, rule: Rule) -> None:
        """Make a rule, or turn it round. What was stored before stays where it is: a rule is for what comes from now on."""
        if len(rule.code) > _LONGEST_CODE:
            raise InvalidError(f"A code of {len(rule.code)} characters.", "Name one as the records have it (MDC_...).")
        if rule.code and rule.record_class is RecordClass.DOCUMENT:
            raise InvalidError("A document has no code.", "Leave the code out.")
        tenant_id = tenant_of(principal)
        async with self.database.transaction(tenant_id) as connection:
            await connection.execute(_QUERIES["lock_rules"])
            others = await (await connection.execute(_QUERIES["another_tenant_shares"])).fetchone()
            if rule.share and others is not None and others[0]:
                raise ConflictError(
                    "Another tenant of this hub shares already.",
                    "One tenant's records go up: at the hub above they belong to one tenant, and devices of the same name would become one.",
                    reason="another-tenant-shares",
                )
            values = {"tenant": tenant_id, "class": rule.record_class, "code": rule.code}
            await connection.execute(_QUERIES["set_rule"], values | {"share": rule.share})
            await self.audit.write(connection, principal, "sharing.change", _target(rule), {"share": rule.share})

    @policy("sharing.change")
    async def remove(self, principal: Principal, record_class: RecordClass, code: str = EVERY_CODE) -> None:
        """Take a rule away; NotFoundError when there is none."""
        tenant_id = tenant_of(principal)
        async with self.database.transaction(tenant_id) as connection:
            values = {"tenant": tenant_id, "class": record_class, "code": code}
            if await (await connection.execute(_QUERIES["remove_rule"], values)).fetchone() is None:
                raise NotFoundError(f"There is no rule for {record_class} {code}".rstrip() + ".", "See the list.")
            target = _target(Rule(record_class, code, share=False))
            await self.audit.write(connection, principal, "sharing.change", target, {"share": None})


def _target(rule: Rule) -> str:
    return f"sharing:{rule.record_class}:{rule.code or '*'}"
