"""Write networks over time as .tflite files, from NumPy weights: LiteRT's schema and no converter.

All signals are float32 of shape (1, time, 1, channels). The same weights give the same bytes.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Weights = NDArray[np.float32 | np.float64]


class _Builder(Protocol):
    """What is used of the builder of flatbuffers."""

    Finish: "Callable[[int, bytes], int]"
    Output: "Callable[[], bytearray]"


class _Model(Protocol):
    """The whole of a file."""

    Pack: "Callable[[_Builder], int]"


class _Flatbuffers(Protocol):
    """What is used of flatbuffers."""

    Builder: "Callable[[int], _Builder]"


class _Padding(Protocol):
    VALID: int


class _ActivationFunctionType(Protocol):
    NONE: int
    RELU: int


class _TensorType(Protocol):
    FLOAT32: int
    INT32: int


class _BuiltinOperator(Protocol):
    ADD: int
    CONCATENATION: int
    CONV_2D: int
    DEPTHWISE_CONV_2D: int
    RELU_N1_TO_1: int
    STRIDED_SLICE: int


class _Schema(Protocol):
    """What is used of LiteRT's schema: its numbers, and the classes of the parts of a file."""

    Padding: _Padding
    ActivationFunctionType: _ActivationFunctionType
    TensorType: _TensorType
    BuiltinOperator: _BuiltinOperator
    BuiltinOptions: object
    AddOptionsT: "Callable[..., object]"
    BufferT: "Callable[..., object]"
    ConcatenationOptionsT: "Callable[..., object]"
    Conv2DOptionsT: "Callable[..., object]"
    DepthwiseConv2DOptionsT: "Callable[..., object]"
    ModelT: "Callable[..., _Model]"
    OperatorCodeT: "Callable[..., object]"
    OperatorT: "Callable[..., object]"
    StridedSliceOptionsT: "Callable[..., object]"
    SubGraphT: "Callable[..., object]"
    TensorT: "Callable[..., object]"


# Neither package has types.
flatbuffers = cast("_Flatbuffers", import_module("flatbuffers"))
schema = cast("_Schema", import_module("ai_edge_litert.schema_py_generated"))

_VALID = schema.Padding.VALID
_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value in the graph: its number and its shape."""

    index: int
    shape: tuple[int, ...]


class Graph:
    """A network under construction; `build` gives the file."""

    def __init__(self, description: str) -> None:
        """`description` stands in the file."""
        self._description = description
        self._tensors: list[object] = []
        self._buffers: list[object] = [schema.BufferT()]  # the first is empty, as the schema asks
        self._operators: list[object] = []
        self._codes: list[int] = []
        self._inputs: list[int] = []
        self._constants: dict[tuple[tuple[int, ...], bool, bytes], Tensor] = {}

    def input(self, name: str, time: int, channels: int) -> Tensor:
        """A value that the caller gives."""
        tensor = self._tensor((1, time, 1, channels), 0, name)
        self._inputs.append(tensor.index)
        return tensor

    def convolution(
        self, x: Tensor, weights: "Weights", bias: "Weights", *, stride: int = 1, dilation: int = 1, relu: bool = False
    ) -> Tensor:
        """Along time, without padding; `weights`: (taps, channels in, channels out)."""
        taps, _, out = weights.shape
        kernel = self._constant(weights.transpose(2, 0, 1)[:, :, None, :])
        options = schema.Conv2DOptionsT(
            padding=_VALID,
            strideW=1,
            strideH=stride,
            dilationHFactor=dilation,
            fusedActivationFunction=_activation(relu),
        )
        time = (x.shape[1] - (taps - 1) * dilation - 1) // stride + 1
        return self._add(
            schema.BuiltinOperator.CONV_2D,
            (x, kernel, self._constant(bias)),
            (1, time, 1, out),
            "Conv2DOptions",
            options,
        )

    def depthwise(
        self, x: Tensor, weights: "Weights", bias: "Weights", *, dilation: int = 1, relu: bool = False
    ) -> Tensor:
        """Each channel by itself along time, without padding; `weights`: (taps, channels)."""
        taps, channels = weights.shape
        kernel = self._constant(weights[None, :, None, :])
        options = schema.DepthwiseConv2DOptionsT(
            padding=_VALID, strideW=1, strideH=1, depthMultiplier=1, dilationHFactor=dilation,
            fusedActivationFunction=_activation(relu),
        )  # fmt: skip
        return self._add(
            schema.BuiltinOperator.DEPTHWISE_CONV_2D,
            (x, kernel, self._constant(bias)),
            (1, x.shape[1] - (taps - 1) * dilation, 1, channels),
            "DepthwiseConv2DOptions",
            options,
        )

    def join(self, *parts: Tensor) -> Tensor:
        """One behind the other in time."""
        return self._concatenated(parts, 1)

    def beside(self, *parts: Tensor) -> Tensor:
        """Their channels beside one another."""
        return self._concatenated(parts, 3)

    def _concatenated(self, parts: "tuple[Tensor, ...]", axis: int) -> Tensor:
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        options = schema.ConcatenationOptionsT(axis=axis, fusedActivationFunction=_NONE)
        return self._add(schema.BuiltinOperator.CONCATENATION, parts, tuple(shape), "ConcatenationOptions", options)

    def clip(self, x: Tensor) -> Tensor:
        """Between -1 and 1."""
        return self._add(schema.BuiltinOperator.RELU_N1_TO_1, (x,), x.shape, "NONE", None)

    def cut(self, x: Tensor, start: int, stop: int | None = None) -> Tensor:
        """A stretch of time; negative numbers count from the end, so that a graph serves inputs of any length."""
        first, last, _ = slice(start, stop).indices(x.shape[1])
        begin, end, steps = ([0, start, 0, 0], [1, 0 if stop is None else stop, 1, x.shape[3]], [1, 1, 1, 1])
        options = schema.StridedSliceOptionsT(beginMask=0b1101, endMask=0b1101 | (0b0010 if stop is None else 0))
        return self._add(
            schema.BuiltinOperator.STRIDED_SLICE,
            (x, *(self._constant(np.array(numbers, np.int32)) for numbers in (begin, end, steps))),
            (1, last - first, 1, x.shape[3]),
            "StridedSliceOptions",
            options,
        )

    def add(self, x: Tensor, y: Tensor, *, relu: bool = False) -> Tensor:
        """Their sum, of equal shapes."""
        options = schema.AddOptionsT(fusedActivationFunction=_activation(relu))
        return self._add(schema.BuiltinOperator.ADD, (x, y), x.shape, "AddOptions", options)

    def build(self, outputs: "Sequence[Tensor]") -> bytes:
        """The file."""
        subgraph = schema.SubGraphT(
            tensors=self._tensors,
            inputs=self._inputs,
            outputs=[o.index for o in outputs],
            operators=self._operators,
            name=b"main",
        )
        codes = [schema.OperatorCodeT(builtinCode=c, deprecatedBuiltinCode=min(c, 127), version=1) for c in self._codes]
        model = schema.ModelT(
            version=3, operatorCodes=codes, subgraphs=[subgraph], description=self._description, buffers=self._buffers
        )
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, shape: tuple[int, ...], buffer: int, name: str, kind: int = schema.TensorType.FLOAT32) -> Tensor:
        self._tensors.append(schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name.encode()))
        return Tensor(len(self._tensors) - 1, shape)

    def _constant(self, values: "Weights | NDArray[np.int32]") -> Tensor:
        whole = values.dtype.kind == "i"
        data = np.ascontiguousarray(values, np.int32 if whole else np.float32)
        same = (data.shape, whole, data.tobytes())
        if same in self._constants:
            return self._constants[same]
        self._buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
        kind = schema.TensorType.INT32 if whole else schema.TensorType.FLOAT32
        self._constants[same] = self._tensor(data.shape, len(self._buffers) - 1, f"c{len(self._tensors)}", kind)
        return self._constants[same]

    def _add(
        self, code: int, inputs: "Sequence[Tensor]", shape: tuple[int, ...], options_name: str, options: object
    ) -> Tensor:
        if code not in self._codes:
            self._codes.append(code)
        out = self._tensor(shape, 0, f"t{len(self._tensors)}")
        self._operators.append(
            schema.OperatorT(
                opcodeIndex=self._codes.index(code),
                inputs=[t.index for t in inputs],
                outputs=[out.index],
                builtinOptionsType=getattr(schema.BuiltinOptions, options_name),
                builtinOptions=options,
            )
        )
        return out


def _activation(relu: bool) -> int:
    return _RELU if relu else _NONE
