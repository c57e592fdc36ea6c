# The part of aiocoap 0.4 that this tree uses; the library has no types of its own.
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.protocol import Context

GET: Code
POST: Code
PUT: Code

__all__ = ["GET", "POST", "PUT", "Code", "Context", "Message"]
