"""The reference page of the device-to-cloud message package, held against the definition itself."""

import re
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor

from protocols import device_package_pb2 as pb
from protocols.nomenclature import GAP_REASONS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "device-package.md").read_text("utf-8")
MESSAGES: dict[str, Descriptor] = dict(pb.DESCRIPTOR.message_types_by_name)
ENUMS: dict[str, EnumDescriptor] = dict(pb.DESCRIPTOR.enum_types_by_name)


def documented_fields() -> dict[str, list[str]]:
    """What the page says: message to fields, from the first column of the table under its heading."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^### ", PAGE.split("## Enumerations")[0], flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        rows = re.findall(r"^\| (`.*?) \| ", body, flags=re.MULTILINE)
        found[name] = [field for row in rows for field in re.findall(r"`(\w+)`", row)]
    return found


def test_the_page_names_every_message_and_field_of_the_package():
    defined = {name: [field.name for field in message.fields] for name, message in MESSAGES.items()}
    assert documented_fields() == defined


def test_the_page_names_every_value_of_every_enumeration():
    table = PAGE.split("## Enumerations")[1]
    for name, enum in ENUMS.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", table, flags=re.MULTILINE)
        said = {(int(number), value) for number, value in re.findall(r"(\d+) `([A-Z0-9_]+)`", row)}
        assert said == {(v.number, v.name) for v in enum.values if not v.name.endswith("_UNSPECIFIED")}


def test_the_page_names_every_reason_of_a_gap():
    (row,) = re.findall(r"^\| `reason` \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == GAP_REASONS
