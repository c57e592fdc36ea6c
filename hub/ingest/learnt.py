"""Writes what batches say of devices into the ledger, in the transaction of the data; leaves what they say to `ledger`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.sql import load_queries

if TYPE_CHECKING:
    from hub.core.db import Connection

_QUERIES = load_queries("hub.ingest")


async def learn(connection: "Connection", learnt: Sequence[tuple[int, str, Mapping[str, object]]]) -> None:
    """Tell the ledger, in one order, so that two writers that tell of the same devices never wait for each other.

    That devices were heard is one statement for all of them, which locks the others, too, of which it says nothing (None).
    """
    heard: dict[tuple[int, str], datetime | None] = {}
    for tenant, query, values in learnt:
        key, at = (tenant, str(values["device"])), values["at"] if query == "heard" else None
        known = heard.setdefault(key, None)
        if isinstance(at, datetime) and (known is None or at > known):
            heard[key] = at
    if any(heard.values()):
        tenants, devices = [tenant for tenant, _ in heard], [device for _, device in heard]
        values = {"tenants": tenants, "devices": devices, "at": list(heard.values())}
        await connection.execute(_QUERIES["heard"], values)
    rest = [one for one in learnt if one[1] != "heard"]
    for tenant, query, values in sorted(rest, key=lambda one: (one[0], str(one[2]["device"]))):
        await connection.execute(_QUERIES[query], {**values, "tenant": tenant})
