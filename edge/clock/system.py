"""Whether something disciplines this machine's clock: what the kernel says (adjtimex(2))."""

import ctypes
import struct

_SIZE = 256  # of struct timex, with room
_STATUS_AT = 40  # of `status`, on 64-bit Linux
_STA_UNSYNC = 0x0040


def is_synchronised() -> bool:
    """False only where the kernel says that nothing does; another system, or a kernel that does not say, is believed."""
    buffer = ctypes.create_string_buffer(_SIZE)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (AttributeError, OSError):
        return True
    (status,) = struct.unpack_from("i", buffer, _STATUS_AT)
    return answer < 0 or not status & _STA_UNSYNC
