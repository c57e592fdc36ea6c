"""Gets through to somebody at an address of the hub, also on a link that is seconds late."""

import asyncio

import grpc.aio

from edge.uplink.route import Route
from edge.uplink.security import answered

# A handshake takes four ways: 8 s on a link that is 2 s late. Longer than the first only when no address has answered.
CONNECT_S, LONGEST_CONNECT_S = 5.0, 15.0
_TRIES = 3  # beside one another, at the only address: the first may take as long as the longest


class HubSilentError(RuntimeError):
    """The connection is up, or may be, and nothing comes back."""


async def reached(route: Route, patience_s: float) -> grpc.aio.Channel:
    """A channel on which somebody has answered; HubSilentError when nobody does within `patience_s`.

    Where there is no other address the same one is tried again beside the tries before: on a late link the first of them is the
    first to get through, behind a connection that somebody swallowed only another one helps.
    """
    tries: dict[asyncio.Task[None], grpc.aio.Channel] = {}
    try:
        while len(tries) < _TRIES:
            channel = await route.open()
            tries[asyncio.create_task(answered(channel))] = channel
            waits_s = CONNECT_S if route.is_alone else patience_s
            done, _ = await asyncio.wait(tries, timeout=waits_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return tries.pop(done.pop())
            if not route.is_alone:
                break
        msg = "nobody is there"
        raise HubSilentError(msg)
    finally:
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, *(channel.close() for channel in tries.values()), return_exceptions=True)
