"""Networks over time that can be streamed: one design for training (JAX) and for the file that LiteRT runs.

A network takes 120 Hz, one lead, and gives logits at 60 Hz: a stem of stride 2, then residual blocks of dilated convolutions. Each
layer keeps what it has seen as a state and pads nothing, so that a stream cut anywhere gives what the whole gives. A block is
centred (it waits for what is behind it) or causal; what all of them wait for is the network's latency.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from models.training.descent import array, behind, ones, zeros
from models.training.tflite import Graph, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pairs = dict[str, tuple[jax.Array, jax.Array]]

RATE_HZ = 120.0
STRIDE = 2
_EPSILON = 1e-3
_MOMENTUM = 0.95


@dataclass(frozen=True, slots=True)
class Block:
    """A residual block: dilated convolution, normalisation, ReLU, and a mix of the channels."""

    taps: int
    dilation: int
    centred: bool

    @property
    def context(self) -> int:
        """Steps of the past that it keeps."""
        return (self.taps - 1) * self.dilation

    @property
    def waits(self) -> int:
        """Steps by which its output lags."""
        return self.context // 2 if self.centred else 0


@dataclass(frozen=True, slots=True)
class Design:
    """What a network is made of; the weights are apart."""

    name: str
    outputs: int
    channels: int = 24
    stem_taps: int = 11
    blocks: tuple[Block, ...] = (
        Block(5, 1, centred=True),
        Block(5, 2, centred=True),
        Block(5, 4, centred=True),
        Block(3, 8, centred=True),
        Block(3, 16, centred=False),
        Block(3, 32, centred=False),
        Block(3, 64, centred=False),
    )

    @property
    def stem_context(self) -> int:
        """Samples at 120 Hz that the stem keeps."""
        return self.stem_taps - STRIDE

    @property
    def context(self) -> int:
        """Steps at 60 Hz that the blocks keep, all together."""
        return sum(block.context for block in self.blocks)

    @property
    def latency_s(self) -> float:
        """From a sample to the logits that are about it."""
        stem_s = (self.stem_context / 2) / RATE_HZ
        return stem_s + STRIDE * sum(block.waits for block in self.blocks) / RATE_HZ


class Params(NamedTuple):
    """What is trained: `kernels` and the bias of the head by name; `scales`: gain and shift of each normalisation, (channels,)."""

    kernels: "dict[str, jax.Array]"
    scales: "Pairs"


def begin(design: Design, seed: int) -> "tuple[Params, Pairs]":
    """Weights to train, and the running statistics of the normalisations."""
    chance = np.random.default_rng(seed)

    def normal(*shape: int) -> "jax.Array":
        return array(chance.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])))

    width = design.channels
    kernels = {"stem": normal(design.stem_taps, 1, width)}
    running: Pairs = {"stem": (zeros(width), ones(width))}
    scales: Pairs = {"stem": (ones(width), zeros(width))}
    for i, block in enumerate(design.blocks):
        kernels[f"taps{i}"] = normal(block.taps, width, width)
        kernels[f"mix{i}"] = normal(1, width, width) * 0.3
        running[f"block{i}"] = (zeros(width), ones(width))
        scales[f"block{i}"] = (ones(width), zeros(width))
    kernels["head"] = normal(1, width, design.outputs) * 0.1
    kernels["head_bias"] = zeros(design.outputs)
    return Params(kernels, scales), running


def apply(
    design: Design, weights: Params, running: "Pairs", x: "jax.Array", *, training: bool
) -> "tuple[jax.Array, Pairs]":
    """Logits (windows, steps, outputs) of x (windows, samples at 120 Hz), as a stream gives them from its beginning on; new statistics."""
    told: Pairs = {}
    kernels = weights.kernels

    def normalised(h: "jax.Array", name: str) -> "jax.Array":
        mean, variance = running[name]
        if training:
            mean, variance = h.mean((0, 1)), h.var((0, 1))
            kept, spread = running[name]
            told[name] = (
                _MOMENTUM * kept + (1 - _MOMENTUM) * mean,
                _MOMENTUM * spread + (1 - _MOMENTUM) * variance,
            )
        gain, shift = weights.scales[name]
        return (h - mean) * (gain * jax.lax.rsqrt(variance + _EPSILON)) + shift

    h = _convolve(behind(x[:, :, None], design.stem_context), kernels["stem"], STRIDE, 1)
    h = jax.nn.relu(normalised(h, "stem"))
    for i, block in enumerate(design.blocks):
        held = behind(h, block.context)
        inner = jax.nn.relu(normalised(_convolve(held, kernels[f"taps{i}"], 1, block.dilation), f"block{i}"))
        h = held[:, block.context - block.waits :][:, : h.shape[1]] + _convolve(inner, kernels[f"mix{i}"], 1, 1)
    return h @ kernels["head"][0] + kernels["head_bias"], told


def _convolve(h: "jax.Array", weights: "jax.Array", stride: int, dilation: int) -> "jax.Array":
    """As one matrix product: on a processor faster than a dilated convolution."""
    taps, inputs, outputs = weights.shape
    steps = (h.shape[1] - (taps - 1) * dilation - 1) // stride + 1
    last = (steps - 1) * stride + 1
    shifted = [h[:, k * dilation : k * dilation + last : stride] for k in range(taps)]
    return jnp.concatenate(shifted, -1) @ weights.reshape(taps * inputs, outputs)


def export(design: Design, weights: Params, running: "Pairs") -> bytes:
    """The .tflite file. Inputs: samples, context of the stem, context of the blocks; outputs: logits and both contexts."""
    kernels = weights.kernels

    def folded(name: str, taps: str) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        (mean, variance), (gain, shift) = running[name], weights.scales[name]
        factor = np.asarray(gain / np.sqrt(variance + _EPSILON), np.float32)
        return np.asarray(kernels[taps], np.float32) * factor, np.asarray(shift - mean * factor, np.float32)

    width = design.channels
    graph = Graph(design.name)
    x = graph.input("samples", 60, 1)
    stem_context = graph.input("stem", design.stem_context, 1)
    context = graph.input("blocks", design.context, width)
    held = graph.join(stem_context, x)
    new_stem = graph.cut(held, -design.stem_context)
    kernel, bias = folded("stem", "stem")
    h = graph.convolution(held, kernel, bias, stride=STRIDE, relu=True)
    kept, at = list[Tensor](), 0
    for i, block in enumerate(design.blocks):
        held = graph.join(graph.cut(context, at, at + block.context), h)
        at += block.context
        kept.append(graph.cut(held, -block.context))
        kernel, bias = folded(f"block{i}", f"taps{i}")
        inner = graph.convolution(held, kernel, bias, dilation=block.dilation, relu=True)
        mixed = graph.convolution(inner, np.asarray(kernels[f"mix{i}"], np.float32), np.zeros(width, np.float32))
        centre = graph.cut(held, block.context - block.waits, -block.waits if block.waits else None)
        h = graph.add(centre, mixed)
    head = graph.convolution(h, np.asarray(kernels["head"]), np.asarray(kernels["head_bias"], np.float32))
    return graph.build([head, new_stem, graph.join(*kept)])
