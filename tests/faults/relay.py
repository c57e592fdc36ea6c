"""`python -m tests.faults.relay HOST PORT UPSTREAM UPSTREAM_PORT`: carries connections until it is ended; for a network namespace."""

import asyncio
import sys

from tests.fixtures.tcp_proxy import Proxy


async def _main(host: str, port: str, upstream: str, upstream_port: str) -> None:
    await Proxy(int(upstream_port), upstream).listen(host, int(port))
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
