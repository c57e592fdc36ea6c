"""The host process: `python -m edge.host FD MEMORY_BYTES`, started by the agent with one end of a socket pair and nothing else."""

import asyncio
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from edge.host.child import serve

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_NICE = 5  # whoever loops for ever leaves the processor to the agent
_OOM_SCORE = "500"  # and whoever fills the memory goes first (proc(5), oom_score_adj)


def main() -> None:
    """Until the agent closes its end."""
    descriptor, memory_bytes = (int(one) for one in sys.argv[1:3])
    # an adapter that blocks for ever reads no end of file: the kernel ends it with the agent
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        return
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the agent ends first and says so
    os.nice(_NICE)
    Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=descriptor) as link:
        sys.exit(asyncio.run(serve(link)))


if __name__ == "__main__":
    main()
