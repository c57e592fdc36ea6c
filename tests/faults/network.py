"""The link between gateway and hub as a thing that a fault can be done to, from a thread that is no event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Self, TypeVar

from tests.fixtures.tcp_proxy import Proxy

Answer = TypeVar("Answer")


class Network:
    """A proxy in a thread of its own. Use as a context; `port` is where the gateway connects."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        """`host`: the address of this machine on which it listens."""
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._proxy = Proxy(0)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._proxy.listen(self._host, 0))
        self.port = self._proxy.port
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._proxy.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(self, port: int, host: str = "127.0.0.1") -> None:
        """Connections made from here on go there."""

        def set_both() -> None:
            self._proxy.upstream, self._proxy.host = port, host

        self._do(set_both)

    def cut(self) -> None:
        """Every connection ends, and none is made."""
        self._do(self._proxy.cut)

    def swallow(self) -> None:
        """Connections stay up and bring nothing."""
        self._do(self._proxy.swallow)

    def limit(self, *, bytes_per_s: float = 0.0, delay_s: float = 0.0, close_after: int = 0) -> None:
        """Slow, late, or ended after so many bytes."""

        def set_all() -> None:
            self._proxy.bytes_per_s, self._proxy.delay_s, self._proxy.close_after = bytes_per_s, delay_s, close_after

        self._do(set_all)

    def drop_all(self) -> None:
        """Every connection ends; others are made, as the link is now."""
        self._do(self._proxy.drop_all)

    def heal(self) -> None:
        """As it was."""
        self._do(self._proxy.heal)

    def _do(self, act: Callable[[], object]) -> None:
        async def acted() -> None:
            act()

        self._wait(acted())

    def _wait(self, work: "Coroutine[object, object, Answer]") -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
