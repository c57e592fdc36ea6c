"""Sends gateways the configuration that holds for them, and writes down what they say became of it.

Somebody has given it (`hub.gateways.configuration`, which checked and wrote it down). A gateway hears of it when it is given and after
each hello: one that was set up anew gets again what it had applied before.
"""

from typing import TYPE_CHECKING

import structlog

from hub.core.errors import InvalidError
from hub.core.sql import load_queries
from protocols.link import CONFIGURATION
from protocols.uplink_pb2 import (
    CONFIGURATION_OUTCOME_APPLIED,
    CONFIGURATION_OUTCOME_REFUSED,
    CONFIGURATION_OUTCOME_ROLLED_BACK,
    Configuration,
    ConfigurationAnswer,
    HubMessage,
)

if TYPE_CHECKING:
    from hub.core.db import Database
    from hub.ingest.streams import Stream, Streams

_QUERIES = load_queries("hub.ingest")
_STATES = {
    CONFIGURATION_OUTCOME_APPLIED: "applied",
    CONFIGURATION_OUTCOME_REFUSED: "refused",
    CONFIGURATION_OUTCOME_ROLLED_BACK: "rolled_back",
}
_REASON = 1000  # characters that are kept


class Configurations:
    """For the streams of this process."""

    def __init__(self, database: "Database", streams: "Streams") -> None:
        self._database, self._streams = database, streams

    async def send(self, gateway_id: int | None) -> None:
        """Send a gateway (all, when None) what holds for it; one that is away gets it when it comes."""
        streams = self._streams.asked_for(gateway_id, CONFIGURATION)
        if not streams:
            return
        async with self._database.transaction() as connection:
            found = await connection.execute(_QUERIES["configurations"], {"gateways": list(streams)})
            rows = await found.fetchall()
            for configuration, *_, state in rows:
                if state == "waiting":
                    values = {"configuration": configuration, "state": "sent", "reason": ""}
                    await connection.execute(_QUERIES["configuration_state"], values)
        for _, gateway, version, toml, _ in rows:
            streams[gateway].send(HubMessage(configuration=Configuration(version=version, toml=toml)))

    async def answered(self, stream: "Stream", answer: ConfigurationAnswer) -> None:
        """Write down what became of one, and send what holds now; InvalidError for an answer that breaks the protocol."""
        identity = stream.link.identity
        state = _STATES.get(answer.outcome)
        if state is None or not 1 <= answer.version < 1 << 31:
            raise InvalidError(
                f"ConfigurationAnswer: version {answer.version}, outcome {answer.outcome}.",
                "Update the agent.",
                reason="protocol",
            )
        reason = answer.reason.replace("\0", " ")[:_REASON]
        values: dict[str, object] = {"gateway": identity.gateway_id, "version": answer.version}
        values |= {"state": state, "reason": reason}
        async with self._database.transaction(of=identity.history) as connection:
            row = await (await connection.execute(_QUERIES["configuration_answered"], values)).fetchone()
        if row is None:
            return  # it was said before, or nobody has asked
        structlog.get_logger().info(
            "configuration-answered", gateway_id=identity.gateway_id, version=answer.version, state=state
        )
        await self.send(identity.gateway_id)
