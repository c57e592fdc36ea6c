"""Run a small network by LiteRT. One over time, hop after hop: what it has seen goes in and comes out as arrays, nothing stays inside.

A file is refused that is not the one its card and code belong to. LiteRT gives the same bits for a stream however it is cut
(tests/unit/signal/test_networks.py); it is asked for one thread.
"""

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypedDict

import numpy as np

from models.signal.card import checked, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


class _Detail(TypedDict):
    """What is used of what LiteRT says of an input or output."""

    index: int
    shape: "Sequence[int]"


class _Interpreter(Protocol):
    """What is used of LiteRT's interpreter."""

    def get_input_details(self) -> "Sequence[_Detail]": ...
    def get_output_details(self) -> "Sequence[_Detail]": ...
    def allocate_tensors(self) -> None: ...
    def resize_tensor_input(self, input_index: int, tensor_size: "Sequence[int]") -> None: ...
    def set_tensor(self, tensor_index: int, value: "Floats") -> None: ...
    def get_tensor(self, tensor_index: int) -> "Floats": ...
    def invoke(self) -> None: ...


class _Make(Protocol):
    """LiteRT's class."""

    def __call__(self, *, model_content: bytes, num_threads: int) -> _Interpreter: ...


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded file: indices of its inputs and outputs, and the shapes of the inputs."""

    version: str
    sha256: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    _interpreter: _Interpreter = field(repr=False)
    _data: bytes = field(default=b"", repr=False)
    _longer: "dict[int, Network]" = field(default_factory=dict[int, "Network"], repr=False)

    def of(self, times: int) -> "Network":
        """The same for a first input that is so many times as long; made at its first use. LiteRT gives the same bits for both."""
        if times == 1:
            return self
        if times not in self._longer:
            length = times * self.shapes[0][1]
            self._longer[times] = _made(self._data, self.sha256, self.version, length)
        return self._longer[times]

    def zeros(self) -> "tuple[Floats, ...]":
        """Of all inputs but the first, which is what a network over time keeps before its first sample."""
        return tuple(np.zeros(shape, np.float32) for shape in self.shapes[1:])

    def run(self, *values: "Floats") -> "tuple[Floats, ...]":
        """The outputs for these inputs; each is brought to the shape that the file states. One thread at a time may run it."""
        run = self._interpreter
        for index, value, shape in zip(self.inputs, values, self.shapes, strict=True):
            run.set_tensor(index, value.reshape(shape))
        run.invoke()
        return tuple(run.get_tensor(index) for index in self.outputs)


def can_run() -> bool:
    """Whether LiteRT is installed."""
    return find_spec("ai_edge_litert") is not None


def parse(data: bytes, expected_sha256: str, version: str) -> Network:
    """Read a .tflite file; WeightsError when its hash is not the expected one."""
    return _made(checked(data, expected_sha256), expected_sha256, version, None)


def _made(data: bytes, sha256: str, version: str, length: int | None) -> Network:
    """The network of a file; `length`: time steps of its first input, other than the file states."""
    # Read where networks are used, and not before.
    make: _Make = import_module("ai_edge_litert.interpreter").Interpreter
    interpreter = make(model_content=data, num_threads=1)
    if length is not None:
        first = interpreter.get_input_details()[0]
        batch, _, *rest = (int(n) for n in first["shape"])
        interpreter.resize_tensor_input(first["index"], (batch, length, *rest))
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    return Network(
        version,
        sha256,
        tuple(d["index"] for d in details),
        tuple(d["index"] for d in interpreter.get_output_details()),
        tuple(tuple(int(n) for n in d["shape"]) for d in details),
        interpreter,
        data,
    )


def load(name: str, expected_sha256: str, version: str) -> Network:
    """Read `models/weights/NAME`."""
    return parse(read(name), expected_sha256, version)
