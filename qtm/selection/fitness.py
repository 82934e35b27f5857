"""Selection by a given fitness."""

import inspect
from collections.abc import Callable
from typing import Self

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import Law, real
from qtm.selection._base import FitnessSelection, moments_by_quadrature
from qtm.states import Moments, State


class Fitness(FitnessSelection):
    """Selection by a user-defined log fitness.

    `log_fitness` is a function of the trait value z (feature units, arrays of any shape), or of z
    and the population, which has `mean`, `variance`, `cdf(z)`, `below(z)` and `above(z)`. It
    returns the natural logarithm of fitness up to a constant, -inf for certain death, and is
    written with `jax.numpy`. A plain function passes through `jit` as a constant; an
    `equinox.Module` with `__call__` is a pytree, so that its contents can be fitted.

        >>> import qtm
        >>> quartic = qtm.Fitness(log_fitness=lambda z: -(z**4))
        >>> after = quartic.moments(qtm.Moments(mean=0.0, variance=1.0))
        >>> round(float(after.variance), 2)
        0.28

    Moments after selection have no closed form; they are sums over a grid
    (`moments_by_quadrature`). Iterated, they assume a Gaussian population in every generation;
    `Density` does not.

    Raises ValueError if `log_fitness` is not a function of one or two arguments; outside of `jit`
    also without survivors or if fitness grows faster than the Gaussian falls (nan inside).
    """

    law: Law
    _of_population: bool = eqx.field(static=True)

    def __init__(self, log_fitness: Callable[..., ArrayLike]):
        self.law = Law(log_fitness)
        count = _arguments(log_fitness)
        if count not in (1, 2):
            raise ValueError(
                f"log_fitness must take z, or z and the population, got {count} arguments."
            )
        self._of_population = count == 2

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(log_fitness=_Quartic(real(0.3)))]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        arguments = (real(z), population) if self._of_population else (real(z),)
        return real(self.law.value(*arguments))

    def moments(self, state: Moments) -> Moments:
        return moments_by_quadrature(self, state)


class _Quartic(eqx.Module):
    """Log fitness -a z^4, with a slope in a."""

    a: Array

    def __call__(self, z: Array) -> Array:
        return -self.a * z**4


def _arguments(function: Callable[..., ArrayLike]) -> int:
    """Count the required arguments; 1 without a signature, as for some NumPy functions."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) or 1
