"""Predictions with their uncertainty: runs of a fitted model with parameters and process drawn."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from analysis.arms.design import Design
from analysis.inference.likelihood import (
    CORRELATION,
    PERSISTENCE,
    all_expected,
    all_parameters,
    expected,
    linked,
    process_std,
    values_of,
)
from analysis.inference.maximum import Maximum
from analysis.models import Model, priors

DRAWS = 256
# Logarithms beyond +-30 count as diverged.
_FAR = 30.0


def draw_parameters(
    fitted: Maximum, count: int = DRAWS, seed: int = 0
) -> Float[np.ndarray, "count k"]:
    """Draw parameters [count, k] on the scale of the search, normal around the maximum.

    Parameters at a bound stay there; those without influence on the fit come from their prior.
    """
    rng = np.random.default_rng(seed)
    low, high, _, spread = priors(fitted.parameters)
    unseen = np.diag(np.where(fitted.inactive, np.square(spread), 0.0))
    covariance = fitted.inflation * fitted.covariance + unseen
    scales, axes = np.linalg.eigh(covariance)
    noise = rng.normal(size=(count, len(fitted.x))) * np.sqrt(np.maximum(scales, 0))
    return np.clip(fitted.centre + noise @ axes.T, low, high)


def simulate(
    model: Model,
    draws: Float[np.ndarray, "S k"],
    design: Design,
    start: Int[np.ndarray, " R"],
    seed: int = 0,
    measured: Float[np.ndarray, "S R T 3 D"] | None = None,
) -> Float[np.ndarray, "S R T 3 D"]:
    """Run a model freely from the measured generation `start` [R] of each arm.

    `measured` replaces what the design holds as measured, for each draw of the parameters.

    Returns mean, ln V_W and ln V_B [S, R, G + 1, 3, D], a path for each draw of the parameters,
    with process variance and the sampling error of the start; as measured up to the start.
    """
    keys = jr.split(jr.key(seed), len(draws))
    rest = (linked(model, design), jnp.asarray(start))
    if measured is None:
        return np.asarray(_paths(model.general)(jnp.asarray(draws), keys, *rest))
    run = _paths_from(model.general)
    return np.asarray(run(jnp.asarray(draws), keys, jnp.asarray(measured), *rest))


def trajectory(
    fitted: Maximum, design: Design, start: Int[np.ndarray, " R"]
) -> Float[np.ndarray, "R T 3 D"]:
    """Run a model freely at its maximum without any noise: [R, G + 1, 3, D]."""
    return trajectory_of(fitted.model, fitted.x[None], design, start)[0]


def trajectory_of(
    model: Model, draws: Float[np.ndarray, "S k"], design: Design, start: Int[np.ndarray, " R"]
) -> Float[np.ndarray, "S R T 3 D"]:
    """Run a model freely without noise for each draw of the parameters: [S, R, G + 1, 3, D]."""
    run = _expected_paths(model.general)
    return np.asarray(run(jnp.asarray(draws), linked(model, design), jnp.asarray(start)))


def one_step(fitted: Maximum, design: Design) -> Float[np.ndarray, "R T 3 D"]:
    """Return the expectation of every generation from the one before: [R, G + 1, 3, D].

    Generation 0 is as measured.
    """
    model = fitted.model
    values = values_of(all_parameters(model, design.components), jnp.asarray(fitted.x))
    later = all_expected(model.general, values, linked(model, design))
    return np.concatenate([design.measured[:, :1], later], axis=1)


def _path(model: Model, x: Array, key: Array, design: Design, start: Array) -> Array:
    R, _, _, D = design.measured.shape
    values = values_of(all_parameters(model, D), x)
    sampling = design.sampling[jnp.arange(R), start]
    return _run(model, values, design, start, sampling, key)


@cache
def _paths(model: Model):
    return jax.jit(jax.vmap(partial(_path, model), in_axes=(0, 0, None, None)))


@cache
def _paths_from(model: Model):
    def path(x: Array, key: Array, measured: Array, design: Design, start: Array) -> Array:
        return _path(model, x, key, replace(design, measured=measured), start)

    return jax.jit(jax.vmap(path, in_axes=(0, 0, 0, None, None)))


@cache
def _expected_paths(model: Model):
    def path(x: Array, design: Design, start: Array) -> Array:
        values = values_of(all_parameters(model, design.measured.shape[3]), x)
        return _run(model, values, design, start, None, None)

    return jax.jit(jax.vmap(path, in_axes=(0, None, None)))


def _run(model, values, design: Design, start: Array, sampling: Array | None, key: Array | None):
    R, times, _, D = design.measured.shape
    r = values.get(CORRELATION.name, jnp.zeros(()))

    def step(carry: tuple[Array, Array], t: Array) -> tuple[tuple[Array, Array], Array]:
        y, off = carry
        settings = jax.tree.map(lambda leaf: leaf[:, t], design.settings)
        predicted = jax.vmap(lambda state, s: expected(model, values, state, s))(y, settings)
        after = predicted + values[PERSISTENCE.name] * off
        if sampling is not None and key is not None:
            separate, shared, error = (
                jr.normal(k, (R, 3, d)) for k, d in zip(jr.split(jr.fold_in(key, t), 3), (D, 1, D),
                                                         strict=True)
            )  # fmt: skip
            process = jnp.sqrt(1 - r) * separate + jnp.sqrt(r) * shared
            tau = process_std(values, y, design.measured[:, 0])
            # Without the images of families the start itself is an estimate.
            estimated = jnp.isinf(settings.family_size) & (t == start)
            errors = sampling * (1.0 + estimated[:, None, None])
            after = after + tau * process + jnp.sqrt(errors) * error
        after = jnp.clip(jnp.nan_to_num(after, nan=_FAR), -_FAR, _FAR)
        ahead = (t >= start)[:, None, None]
        y = jnp.where(ahead, after, design.measured[:, t + 1])
        return (y, jnp.nan_to_num(y - predicted)), y

    first = design.measured[:, 0]
    _, later = lax.scan(step, (first, jnp.zeros_like(first)), jnp.arange(times - 1))
    return jnp.concatenate([design.measured[:, :1], jnp.moveaxis(later, 0, 1)], axis=1)
