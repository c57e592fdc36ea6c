"""Which reader of `protocols` reads which media type."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from protocols import package, senml

Reader: TypeAlias = Callable[[bytes, int], package.Package]

MEDIA_TYPES = (package.PROTOBUF_TYPE, package.JSON_TYPE, senml.CBOR_TYPE, senml.JSON_TYPE)


def readers(names: Mapping[str, str]) -> Mapping[str, Reader]:
    """The readers of a door by media type; `names`: what other makers' SenML names mean here."""
    return MappingProxyType(
        {
            package.PROTOBUF_TYPE: package.read_protobuf,
            package.JSON_TYPE: package.read_json,
            "application/protobuf": package.read_protobuf,
            "application/json": package.read_json,
            senml.CBOR_TYPE: partial(senml.read_cbor, names=names),
            senml.JSON_TYPE: partial(senml.read_json, names=names),
        }
    )
