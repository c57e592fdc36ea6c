"""SenML (RFC 8428) as a device package: `pack` reads the format, `records` gives its names our meaning."""

from protocols.senml.records import NO_NAMES, read_cbor, read_json

CBOR_TYPE = "application/senml+cbor"
JSON_TYPE = "application/senml+json"

__all__ = ["CBOR_TYPE", "JSON_TYPE", "NO_NAMES", "read_cbor", "read_json"]
