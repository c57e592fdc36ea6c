"""The enumerations of records and of device_package.proto, beside each other, and the bounds of the package's fields."""

from typing import Final

from protocols import codec
from protocols import device_package_pb2 as pb
from protocols.record import AlarmKind, Presence, Priority, Quality

QUALITY: Final = {
    Quality.GOOD: pb.QUALITY_GOOD,
    Quality.QUESTIONABLE: pb.QUALITY_QUESTIONABLE,
    Quality.LEAD_OFF: pb.QUALITY_LEAD_OFF,
    Quality.FLAT: pb.QUALITY_FLAT,
    Quality.SATURATED: pb.QUALITY_SATURATED,
    Quality.NOISE: pb.QUALITY_NOISE,
    Quality.UNUSABLE: pb.QUALITY_UNUSABLE,
}
PRIORITY: Final = {
    Priority.HIGH: pb.PRIORITY_HIGH,
    Priority.MEDIUM: pb.PRIORITY_MEDIUM,
    Priority.LOW: pb.PRIORITY_LOW,
}
KIND: Final = {
    AlarmKind.PHYSIOLOGICAL: pb.ALARM_KIND_PHYSIOLOGICAL,
    AlarmKind.TECHNICAL: pb.ALARM_KIND_TECHNICAL,
}
PRESENCE: Final = {
    Presence.PRESENT: pb.PRESENCE_PRESENT,
    Presence.LATCHED: pb.PRESENCE_LATCHED,
    Presence.ENDED: pb.PRESENCE_ENDED,
}
DTYPE: Final = {"<i2": pb.DTYPE_INT16, "<i4": pb.DTYPE_INT32}
CODEC: Final = {
    codec.RAW: pb.CODEC_RAW,
    codec.DELTA_DEFLATE: pb.CODEC_DELTA_DEFLATE,
    codec.INTERPOLATION: pb.CODEC_INTERPOLATION,
}
COMPARATORS: Final = frozenset({"", "<", "<=", ">=", ">"})

PACKAGE_VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 1024 * 1024  # of a batch or package
MAX_UPLINK_BYTES: Final = (
    MAX_MESSAGE_BYTES + 4
)  # GatewayMessage around the largest batch: its tag, and a length of 3 bytes
MAX_RECORDS: Final = 4096  # of a batch or package
MAX_CODE: Final = 128  # characters of a code, unit, site, key
MAX_SOURCE: Final = 256
MAX_TEXT: Final = 4096
MAX_TICKET: Final = 1200
MAX_PARAMS: Final = 64
MAX_BEATS: Final = 4096
MAX_GROUNDS: Final = 64  # spans, reasons or models of an evidence
MAX_SEALED_BYTES: Final = 64 * 1024
MAX_INT: Final = 2**63 - 1
