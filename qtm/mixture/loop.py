"""The chain: refit, sample with guidance, mutate, bound, and repeat."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, PRNGKeyArray, Shaped

from qtm._core.numerics import require_double, require_integer, require_nonnegative
from qtm.mixture.distribution import Mixture
from qtm.mixture.learning import Learning
from qtm.mixture.sampler import Sampler, keys_of, sample

Bound = Callable[[Float[np.ndarray, "N d"]], ArrayLike]


class DivergenceError(ValueError):
    """A chain whose traits are no longer finite numbers."""


class Path(eqx.Module):
    """The record of a chain of G generations after generation 0.

    `means` [T, C, d], T = G + 1, are family means (feature units); `within` and `between` [T, d]
    are V_W, pooled over families with n - C degrees of freedom, and V_B, the variance of the family
    means with C - 1 (feature units squared). V_B includes a sampling error of about V_W/(images a
    family). Undefined values (one family, one image a family) are nan. `final` [N, d] is the last
    generation.
    """

    means: Float[np.ndarray, "T C d"]
    within: Float[np.ndarray, "T d"]
    between: Float[np.ndarray, "T d"]
    final: Float[np.ndarray, "N d"]


def chain(
    base: Mixture,
    sampler: Sampler,
    generations: int,
    key: PRNGKeyArray,
    values: ArrayLike | None = None,
    families: Sequence | Shaped[np.ndarray, " n"] | None = None,
    learning: Learning | None = None,
    mutation: ArrayLike = 0.0,
    bound: Bound | None = None,
    size: int | None = None,
) -> Path:
    """Return means and variances of a chain by generation; arguments as in `populations`."""
    means, within, between, z = [], [], [], np.empty(0)
    for z, family in populations(
        base, sampler, generations, key, values, families, learning, mutation, bound, size
    ):
        sizes = np.bincount(family)
        centres = np.zeros((len(sizes), z.shape[1]))
        np.add.at(centres, family, z)
        centres /= sizes[:, None]
        spare, nothing = len(z) - len(sizes), np.full(z.shape[1], np.nan)
        means.append(centres)
        within.append(np.square(z - centres[family]).sum(axis=0) / spare if spare else nothing)
        between.append(centres.var(axis=0, ddof=1) if len(sizes) > 1 else nothing)
    return Path(np.stack(means), np.stack(within), np.stack(between), z)


def populations(
    base: Mixture,
    sampler: Sampler,
    generations: int,
    key: PRNGKeyArray,
    values: ArrayLike | None = None,
    families: Sequence | Shaped[np.ndarray, " n"] | None = None,
    learning: Learning | None = None,
    mutation: ArrayLike = 0.0,
    bound: Bound | None = None,
    size: int | None = None,
) -> Iterator[tuple[Float[np.ndarray, "N d"], Int[np.ndarray, " N"]]]:
    """Yield the traits [N, d] and families [N] of generations 0, 1, ..., as they are produced.

    Order: inherit (`learning`, from the base each time) -> select (guided sampling) -> mutate
    -> bound -> sample N images.

    Generation 0 is `values` [n, d], with a label (prompt) each in `families`; the c-th family of
    `base` is the c-th label in sorted order. Without values, generation 0 is `size` draws from the
    base, cycling through the families. Later generations have the prompts of generation 0, or
    `size` prompts in the same cycle. `mutation` is V_m, a variance added to each trait (feature
    units squared, [] or [d]). `bound` maps traits [N, d] (numpy) to those that images can have: a
    clamp, or for latents decoding to the image range and encoding again.

    Image i of generation t draws from `jax.random.fold_in(jax.random.fold_in(key, t), i)` alone:
    a longer chain repeats a shorter one.

    Raises ValueError if arguments are inconsistent, as `Learning.learn` does, and its subclass
    `DivergenceError` if a generation is not finite: strong guidance diverges away from an
    unconditional that does not follow, or whose families are narrower than the prompt's.
    """
    require_double()
    G = require_integer("generations", generations, least=0)
    V_m, learning = np.asarray(mutation, np.float64), learning or Learning()
    require_nonnegative("mutation", V_m)
    z, family = _first(base, key, values, families, size)
    yield z, family
    drawn = (
        family
        if size is None
        else np.arange(require_integer("size", size, least=1)) % base.families
    )
    for t in range(1, G + 1):
        conditional, unconditional = learning.learn(base, z, family)
        to_sample, to_mutate = _two_of_each(keys_of(key, t, len(drawn)))
        z = np.asarray(sample(conditional, unconditional, drawn, to_sample, sampler))
        if np.any(V_m > 0):
            z = z + np.sqrt(V_m) * np.asarray(_normals(to_mutate, base.dimension))
        family = drawn
        if bound is not None:
            before, z = z.shape, np.asarray(bound(z), np.float64)
            if z.shape != before:
                raise ValueError(f"bound must return an array {before}, got {z.shape}.")
        if not np.isfinite(z).all():
            raise DivergenceError(
                f"generation {t} must be finite, got {np.sum(~np.isfinite(z))} values that are not "
                f"at guidance scales up to {float(sampler.scale.max()):g}: the chain diverges."
            )
        yield z, family


def _first(
    base: Mixture,
    key: PRNGKeyArray,
    values: ArrayLike | None,
    families: Sequence | Shaped[np.ndarray, " n"] | None,
    size: int | None,
) -> tuple[Float[np.ndarray, "N d"], Int[np.ndarray, " N"]]:
    if (values is None) != (families is None):
        given, missing = ("families", "values") if values is None else ("values", "families")
        raise ValueError(f"{missing} must be given together with {given}, got None.")
    if values is None:
        N = require_integer("size", size, least=1)
        family = np.arange(N) % base.families
        return np.asarray(base.draw(keys_of(key, 0, N), family)), family
    labels, family = np.unique(np.asarray(families), return_inverse=True)
    z = np.asarray(values, np.float64)
    if z.shape != (len(family), base.dimension) or len(labels) != base.families:
        raise ValueError(
            f"values must be [n, {base.dimension}] with n labels of {base.families} families, as "
            f"the base has, got {z.shape} with {len(family)} labels of {len(labels)}."
        )
    return z, family


@jax.jit
def _two_of_each(keys: Key[Array, " N"]) -> tuple[Key[Array, " N"], Key[Array, " N"]]:
    two = jax.vmap(jr.split)(keys)
    return two[:, 0], two[:, 1]


@partial(jax.jit, static_argnames="d")
def _normals(keys: Key[Array, " N"], d: int) -> Float[Array, "N d"]:
    return jax.vmap(lambda key: jr.normal(key, (d,)))(keys)
