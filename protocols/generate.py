"""Writes the protobuf modules of `protocols/*.proto`, and guards the numbers of their fields.

Run at set-up (`python -m protocols.generate`), by the tests and by the build of a wheel; nothing imports it at run time. The
numbers that were ever released stand in `released_fields.json`: the rules are those of the protobuf language guide, "Updating a
message type" (a number is never used again, a type never changes, a removed field is `reserved` by number and by name). A copy
beside the golden bytes (tests/captures/wire) shows a test that no row was deleted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parent.parent
RELEASED = "protocols/released_fields.json"
Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class Contract:
    """What messages, enumerations and services hold.

    `fields` maps "message.field" to (number, type, with `repeated`, `optional` and the `oneof` it is in) and "service.method" to
    (0, what it takes and gives); `reserved` maps a message to its numbers and names.
    """

    fields: dict[str, tuple[int, str]]
    reserved: dict[str, tuple[frozenset[int], frozenset[str]]]
    services: set[str]


def generate(root: Path = ROOT) -> list[Path]:
    """Compile every `protocols/*.proto` below `root` into `_pb2.py` and `_pb2.pyi` beside it; returns the sources."""
    sources = sorted((root / "protocols").glob("*.proto"))
    if sources:
        _protoc(root, sources, [f"--python_out={root}", f"--pyi_out={root}"])
    return sources


def contract(root: Path = ROOT) -> Contract:
    """Read field numbers, types and reservations from the sources below `root`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        sources = sorted((root / "protocols").glob("*.proto"))
        _protoc(root, sources, [f"--descriptor_set_out={out}"])
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    found = Contract({}, {}, set())
    for file in files:
        for message in file.message_type:
            _add_message(found, f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            _add_enum(found, f"{file.package}.{enum.name}", enum)
        for service in file.service:
            _add_service(found, f"{file.package}.{service.name}", service)
    return found


def breaches(released: dict[str, tuple[int, str]], now: Contract) -> list[str]:
    """Say, a sentence each, where `now` breaks what was released; empty when it only adds."""
    found: list[str] = []
    holders = {(name.rpartition(".")[0], number): name for name, (number, _) in now.fields.items()}
    for name, (number, kind) in released.items():
        message, _, short = name.rpartition(".")
        if name in now.fields:
            new_number, new_kind = now.fields[name]
            if new_number != number:
                found.append(f"{name} was released as number {number} and is now {new_number}: give it back its number")
            elif new_kind != kind:
                found.append(f"{name} was released as {kind} and is now {new_kind}: add a new field instead")
            continue
        if message in now.services:
            found.append(f"{name} was released and is gone: keep the method")
            continue
        holder = holders.get((message, number))
        if holder is not None:
            found.append(f"{holder} uses number {number} of {name}, which was released: take a new number")
        numbers, names = now.reserved.get(message, (frozenset[int](), frozenset[str]()))
        if message in now.reserved and not (number in numbers and short in names):
            found.append(f'{name} was removed: write `reserved {number};` and `reserved "{short}";` in {message}')
        elif message not in now.reserved:
            found.append(f"{name} was released and its message is gone: keep the message")
    return found


def read_released(root: Path = ROOT) -> dict[str, tuple[int, str]]:
    """Read the released numbers; none when nothing was released yet."""
    path = root / RELEASED
    if not path.exists():
        return {}
    return {name: (int(number), str(kind)) for name, (number, kind) in json.loads(path.read_text()).items()}


def release(root: Path = ROOT) -> list[str]:
    """Add the numbers of today's sources to the released ones, unless they break them; returns the breaches."""
    released, now = read_released(root), contract(root)
    found = breaches(released, now)
    if not found:
        rows = {**released, **now.fields}
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows[name])}" for name in sorted(rows))
        (root / RELEASED).write_text(f"{{\n{lines}\n}}\n")
    return found


def _add_message(found: Contract, name: str, message: descriptor_pb2.DescriptorProto) -> None:
    # the end of a reserved range is exclusive in messages, inclusive in enumerations (descriptor.proto)
    numbers = frozenset(n for span in message.reserved_range for n in range(span.start, span.end))
    found.reserved[name] = (numbers, frozenset(message.reserved_name))
    for field in message.field:
        kind = field.type_name.lstrip(".") or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        label = "repeated " if field.label == Field.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        choice = f" in {message.oneof_decl[field.oneof_index].name}" if _is_chosen(field) else ""
        found.fields[f"{name}.{field.name}"] = (field.number, label + kind + choice)
    for nested in message.nested_type:
        _add_message(found, f"{name}.{nested.name}", nested)
    for enum in message.enum_type:
        _add_enum(found, f"{name}.{enum.name}", enum)


def _is_chosen(field: Field) -> bool:
    """Whether the field is one of a `oneof`; an `optional` one is alone in a oneof that the compiler made."""
    return field.HasField("oneof_index") and not field.proto3_optional


def _add_service(found: Contract, name: str, service: descriptor_pb2.ServiceDescriptorProto) -> None:
    found.services.add(name)
    for method in service.method:
        takes = ("stream " if method.client_streaming else "") + method.input_type.lstrip(".")
        gives = ("stream " if method.server_streaming else "") + method.output_type.lstrip(".")
        found.fields[f"{name}.{method.name}"] = (0, f"{takes} to {gives}")


def _add_enum(found: Contract, name: str, enum: descriptor_pb2.EnumDescriptorProto) -> None:
    numbers = frozenset(n for span in enum.reserved_range for n in range(span.start, span.end + 1))
    found.reserved[name] = (numbers, frozenset(enum.reserved_name))
    for value in enum.value:
        found.fields[f"{name}.{value.name}"] = (value.number, "enum value")


def _protoc(root: Path, sources: list[Path], outputs: list[str]) -> None:
    if find_spec("grpc_tools") is None:
        sys.exit("protocols.generate: grpcio-tools is not installed; `make setup` installs it")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", *outputs, *(str(path) for path in sources)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        names = ", ".join(path.name for path in sources)
        sys.exit(f"protocols.generate: the compiler refused {names}:\n{done.stderr.strip()}")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m protocols.generate", description=__doc__)
    parser.add_argument("--release", action="store_true", help=f"add today's field numbers to {RELEASED}")
    if parser.parse_args().release:
        found = release()
        if found:
            sys.exit("\n".join(found))
    generate()


if __name__ == "__main__":
    _main()
