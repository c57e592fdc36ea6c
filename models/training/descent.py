"""Adam, and what the networks take of JAX whose types JAX leaves partly unknown: here they have their types."""

from importlib import import_module
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Concatenate

    import numpy as np
    from numpy.typing import NDArray

Asked = ParamSpec("Asked")
Given = TypeVar("Given")
Weights = TypeVar("Weights")  # any tree of arrays: JAX walks through dictionaries and tuples


class _Arrays(Protocol):
    """What is used of jax.numpy."""

    def asarray(self, a: "NDArray[np.float32 | np.float64 | np.int64]", /) -> jax.Array: ...
    def zeros(self, shape: int, /) -> jax.Array: ...
    def ones(self, shape: int, /) -> jax.Array: ...
    def zeros_like(self, a: jax.Array, /) -> jax.Array: ...
    def pad(self, array: jax.Array, pad_width: "Sequence[tuple[int, int]]", /) -> jax.Array: ...


class _Jax(Protocol):
    """What is used of jax itself."""

    def jit(self, function: "Callable[Asked, Given]", /) -> "Callable[Asked, Given]": ...


class _Grad(Protocol):
    """jax.grad of a function that gives a loss alone."""

    def __call__(
        self, loss: "Callable[Concatenate[Weights, Asked], jax.Array]", /
    ) -> "Callable[Concatenate[Weights, Asked], Weights]": ...


class _GradBeside(Protocol):
    """jax.grad of a function that gives a loss and something beside it."""

    def __call__(
        self, loss: "Callable[Concatenate[Weights, Asked], tuple[jax.Array, Given]]", /, *, has_aux: bool
    ) -> "Callable[Concatenate[Weights, Asked], tuple[Weights, Given]]": ...


_jax = cast("_Jax", import_module("jax"))
_arrays = cast("_Arrays", import_module("jax.numpy"))
_grad: _Grad = import_module("jax").grad
_grad_beside: _GradBeside = import_module("jax").grad


def compiled(function: "Callable[Asked, Given]") -> "Callable[Asked, Given]":
    """The function, compiled at its first call (jax.jit)."""
    return _jax.jit(function)


def slope(
    loss: "Callable[Concatenate[Weights, Asked], jax.Array]",
) -> "Callable[Concatenate[Weights, Asked], Weights]":
    """Give the slope of a loss by its weights."""
    return _grad(loss)


def slope_beside(
    loss: "Callable[Concatenate[Weights, Asked], tuple[jax.Array, Given]]",
) -> "Callable[Concatenate[Weights, Asked], tuple[Weights, Given]]":
    """Give the slope of a loss by its weights, and what else the loss tells."""
    return _grad_beside(loss, has_aux=True)


def array(values: "NDArray[np.float32 | np.float64 | np.int64]") -> "jax.Array":
    """Numbers for JAX, each in four bytes; the same shape."""
    return _arrays.asarray(values)


def zeros(count: int) -> "jax.Array":
    """Float32, (count,)."""
    return _arrays.zeros(count)


def ones(count: int) -> "jax.Array":
    """Float32, (count,)."""
    return _arrays.ones(count)


def behind(h: "jax.Array", steps: int) -> "jax.Array":
    """`h`, (windows, time, channels), behind so many steps of zeros."""
    return _arrays.pad(h, ((0, 0), (steps, 0), (0, 0)))


def rest(weights: Weights) -> tuple[Weights, Weights]:
    """Both moments before the first round."""
    return jax.tree.map(_arrays.zeros_like, weights), jax.tree.map(_arrays.zeros_like, weights)


def move(
    weights: Weights, moments: tuple[Weights, Weights], slope: Weights, number: "jax.Array", rate: "jax.Array"
) -> tuple[Weights, tuple[Weights, Weights]]:
    """One round of Adam (Kingma & Ba, ICLR 2015): weights and moments after it; `number` counts from 1."""
    up, down = 1 - 0.9**number, 1 - 0.99**number

    def mean(old: "jax.Array", new: "jax.Array") -> "jax.Array":
        return 0.9 * old + 0.1 * new

    def square(old: "jax.Array", new: "jax.Array") -> "jax.Array":
        return 0.99 * old + 0.01 * new * new

    def moved(weight: "jax.Array", first: "jax.Array", second: "jax.Array") -> "jax.Array":
        return weight - rate * (first / up) / (jnp.sqrt(second / down) + 1e-7)

    first: Weights = jax.tree.map(mean, moments[0], slope)
    second: Weights = jax.tree.map(square, moments[1], slope)
    return jax.tree.map(moved, weights, first, second), (first, second)
