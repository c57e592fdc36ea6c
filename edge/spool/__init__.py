"""The store between screening and uplink: nothing that was reported durable is lost with power, process or hub."""

from edge.spool.core import NotNowError, Spool, WriterEndedError
from edge.spool.index import ARRIVALS_KEPT, SourceEnd
from edge.spool.keyring import KeptIn, KeySource, SpoolKeyError
from edge.spool.keys import CipherName
from edge.spool.limits import Limits

__all__ = [
    "ARRIVALS_KEPT",
    "CipherName",
    "KeptIn",
    "KeySource",
    "Limits",
    "NotNowError",
    "SourceEnd",
    "Spool",
    "SpoolKeyError",
    "WriterEndedError",
]
