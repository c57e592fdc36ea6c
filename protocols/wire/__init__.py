"""Records on the wire: the messages of device_package.proto and the batches of uplink.proto, both ways.

Encoding is deterministic. Decoding raises DecodeError alone, and judges each record of a batch or package by itself.
"""

from protocols.wire.batch import (
    Arrival,
    Item,
    Package,
    Received,
    TooLargeError,
    arrivals_of,
    decode_batch,
    decode_package,
    encode_batch,
    encode_package,
    lane_of,
    records_of,
)
from protocols.wire.decode import decode_params, decode_record, parse_record
from protocols.wire.encode import encode_params, encode_record
from protocols.wire.tables import MAX_MESSAGE_BYTES, MAX_RECORDS, MAX_UPLINK_BYTES, PACKAGE_VERSION

__all__ = [
    "MAX_MESSAGE_BYTES",
    "MAX_RECORDS",
    "MAX_UPLINK_BYTES",
    "PACKAGE_VERSION",
    "Arrival",
    "Item",
    "Package",
    "Received",
    "TooLargeError",
    "arrivals_of",
    "decode_batch",
    "decode_package",
    "decode_params",
    "decode_record",
    "encode_batch",
    "encode_package",
    "encode_params",
    "encode_record",
    "lane_of",
    "parse_record",
    "records_of",
]
