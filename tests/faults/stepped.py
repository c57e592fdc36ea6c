"""`python -m tests.faults.stepped FILE WORD ...`: `wardlink WORD ...` on a machine whose system clock is wrong.

It is off by the nanoseconds in FILE: 64 bits, little-endian, signed, read at each look. Python's `time.time` and `time.time_ns` of this
process tell it, before anything of the product is imported; the monotonic clock, the TLS library and other processes do not.
"""

import mmap
import sys
import time
from pathlib import Path


def main() -> None:
    """Become the command."""
    with Path(sys.argv[1]).open("rb") as file:
        off_ns = memoryview(mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)).cast("q")
    right, right_ns = time.time, time.time_ns
    time.__dict__.update(time=lambda: right() + off_ns[0] / 1e9, time_ns=lambda: right_ns() + off_ns[0])

    from wardlink.cli import main as wardlink

    sys.argv = ["wardlink", *sys.argv[2:]]
    wardlink()


if __name__ == "__main__":
    main()
