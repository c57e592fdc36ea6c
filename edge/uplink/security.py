"""How a channel to the hub is secured and watched: mutual TLS, keepalive that sees a dead link, bounded messages."""

from dataclasses import dataclass

import grpc
import grpc.aio

from protocols.wire import MAX_MESSAGE_BYTES, MAX_UPLINK_BYTES

# grpc.keepalive_timeout_ms alone does not end a dead connection; ping_timeout_ms does (docs/decisions/0040).
_OPTIONS = [
    ("grpc.keepalive_time_ms", 5_500),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_UPLINK_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # a channel of its own for each connection: alarms never share a socket with data
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class ClientPapers:
    """What the gateway shows and what it trusts, in PEM."""

    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes


def make_channel(target: str, papers: ClientPapers) -> grpc.aio.Channel:
    """A new channel to `host:port`; connects when it is used."""
    credentials = grpc.ssl_channel_credentials(papers.ca_pem, papers.key_pem, papers.certificate_pem)
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


async def answered(channel: grpc.aio.Channel) -> None:
    """Wait until somebody has answered on the channel: it is ready, or was refused, which the first call on it tells."""
    state = channel.get_state(try_to_connect=True)
    while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
