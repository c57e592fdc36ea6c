"""What the kernel knows of this process: since when it runs, what it has used (proc(5))."""

import os
import time
from pathlib import Path

_START_FIELD = 22 - 3  # of /proc/self/stat, counted behind the name in brackets


def since_start_s() -> float:
    """Seconds since the kernel started this process, its interpreter and imports among them."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    began_s = int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began_s)
