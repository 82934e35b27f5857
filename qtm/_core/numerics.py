"""What every numeric module shares: 64-bit floats, parameters, their checks, safe functions.

Parameters are checked when they are concrete numbers, which is whenever a user builds an object.
Inside `jit`, `vmap` and `grad` they are tracers and pass unchecked: a check there would run in
every one of the thousands of steps of a fit, and one bad set of a sweep would end all others. A fit
therefore keeps its parameters in range itself, by fitting the logarithm of a width, say.

What has no value because of the population it meets, such as a tilt without a positive precision,
raises ValueError when the numbers are concrete and is nan for them alone inside `jit`. That nan is
never silent: `evolve` and `equilibrium` raise when it reaches them outside of transformations, and
`Trajectory.defined` says for every generation whether it is there.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import ndtr
from jax.tree_util import Partial
from jaxtyping import Array, ArrayLike

jax.config.update("jax_enable_x64", True)

T = TypeVar("T")

Schedule = Callable[[Array], Any]
"""A parameter that changes in time: called with the index of the generation being produced."""


def require_double() -> None:
    """Raises ValueError if JAX has been switched to 32 bits after qtm was loaded.

    Float32 would come out of everything then, with seven digits and without a word.
    """
    if not jax.config.jax_enable_x64:
        raise ValueError(
            "JAX has been switched to 32 bits since qtm was loaded, and qtm computes with 64 only: "
            'jax.config.update("jax_enable_x64", True) switches it back.'
        )


def real(value: ArrayLike) -> Array:
    """`value` as an array of float64; ValueError if JAX has been switched to 32 bits."""
    require_double()
    return jnp.asarray(value, dtype=jnp.float64)


def parameter(value: ArrayLike | Schedule) -> Array:
    """`value` as an array of float64; a schedule stays as it is until `at` calls it.

    The return type names what a formula sees: by then no schedule is left.
    """
    return cast(Array, value) if callable(value) else real(cast(ArrayLike, value))


def optional_parameter(value: ArrayLike | Schedule | None) -> Array | None:
    """`parameter(value)`, and None for a part that is not there."""
    return None if value is None else parameter(value)


class Law(eqx.Module):
    """A function of anything but the generation, such as a fitness: `at` leaves it alone.

    A plain function is static; an `equinox.Module` with `__call__` stays a pytree, and what it
    holds can be differentiated.
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]):
        if not callable(function):
            raise ValueError(f"a function was expected, got {function!r}.")
        # Only the arrays of a Partial are leaves: with it a plain function passes through `jit`.
        module = isinstance(function, eqx.Module)
        self.function = cast(Callable, function if module else Partial(function))

    def of(self, *arguments: Any) -> Any:
        """The value of the function."""
        return self.function(*arguments)


def _ends(leaf: Any) -> bool:
    return callable(leaf) or isinstance(leaf, Law)


def is_scheduled(tree: Any) -> bool:
    """Whether any leaf of `tree` is a function of the generation."""
    return any(callable(leaf) for leaf in jax.tree.leaves(tree, is_leaf=_ends))


def at(tree: T, generation: ArrayLike) -> T:
    """`tree` with every schedule replaced by its value at `generation`."""
    t = jnp.asarray(generation)

    def value(leaf: Any) -> Any:
        return jax.tree.map(real, leaf(t)) if callable(leaf) else leaf

    return jax.tree.map(value, tree, is_leaf=_ends)


def concrete(value: Any) -> bool:
    """Whether `value` is numbers that can be looked at, neither a schedule nor a tracer."""
    return not callable(value) and not isinstance(value, Tracer)


def require(name: str, value: Any, allowed: str, holds: Callable[[np.ndarray], Any]) -> None:
    """Raises ValueError unless `holds` is true of every entry of a concrete `value`."""
    if not concrete(value):
        return
    values = np.asarray(value, dtype=float)
    bad = values[~np.asarray(holds(values), dtype=bool)]
    if bad.size:
        raise ValueError(f"{name} must be {allowed}, got {bad.flat[0]:g}.")


def require_finite(name: str, value: Any) -> None:
    require(name, value, "finite", np.isfinite)


def require_nonnegative(name: str, value: Any) -> None:
    require(name, value, "at least 0", lambda v: v >= 0)


def require_positive(name: str, value: Any) -> None:
    require(name, value, "greater than 0", lambda v: v > 0)


def require_share(name: str, value: Any) -> None:
    require(name, value, "between 0 and 1", lambda v: (v >= 0) & (v <= 1))


def valid_where(name: str, value: Array, allowed: str, holds: Callable[[Any], Any]) -> Array:
    """Where `holds` is true of `value`; ValueError if it is not everywhere and can be looked at.

    Inside `jit` the caller puts nan where the answer is no.
    """
    require(name, value, allowed, holds)
    return jnp.asarray(holds(value))


def require_integer(name: str, value: Any, least: int) -> int:
    """`value` as an int; raises ValueError below `least` or when it is not a whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return number


def safe_sqrt(x: Array) -> Array:
    """sqrt(x) with derivative 0, not infinity, at x = 0: a variance that is gone stays gone."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0 * x)


def log_cdf(x: Array) -> Array:
    """ln Phi(x), with all its digits on both sides.

    `jax.scipy.special.log_ndtr` has none left at x = 8, where Phi is 1 - 6e-16, and takes seconds
    to compile. Below x = -25 an asymptotic series, good to 1e-11.
    """
    upper, far = x > 0, x < -25
    tail = ndtr(jnp.where(upper, -x, jnp.where(far, -25.0, x)))
    y = jnp.where(far, x, -25.0)
    y2 = 1 / jnp.square(y)
    series = 1 - y2 * (1 - 3 * y2 * (1 - 5 * y2 * (1 - 7 * y2)))
    below = -jnp.square(y) / 2 - jnp.log(-y) - 0.5 * math.log(2 * math.pi) + jnp.log(series)
    lower = jnp.log(jnp.where(upper, 1.0, tail))
    return jnp.where(far, below, jnp.where(upper, jnp.log1p(-tail), lower))
