"""Densities and scores of a mixture, for z [n, d] at one noise level s.

All families are projected onto their axes by one product of matrices, and led back by another:
4 C r d operations for each z, and everything between costs C r.
"""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

if TYPE_CHECKING:
    from qtm.mixture.distribution import Mixture


@eqx.filter_jit
def log_density(mixture: "Mixture", z: Array, s: Array) -> Array:
    return jax.nn.logsumexp(_log_parts(mixture, z, s, _coordinates(mixture, z)), axis=-1)


@eqx.filter_jit
def responsibilities(mixture: "Mixture", z: Array, s: Array) -> Array:
    return jax.nn.softmax(_log_parts(mixture, z, s, _coordinates(mixture, z)), axis=-1)


@eqx.filter_jit
def score(mixture: "Mixture", z: Array, s: Array) -> Array:
    q = _coordinates(mixture, z)
    p = jax.nn.softmax(_log_parts(mixture, z, s, q), axis=-1)
    inside = _span(mixture, p[..., None] * q / (mixture.spectra + s**2))
    if mixture.axes.shape[2] == mixture.dimension:
        return -inside
    outside = z - p @ mixture.means - _span(mixture, p[..., None] * q)
    return -inside - outside / s**2


@eqx.filter_jit
def denoise(mixture: "Mixture", z: Array, s: Array) -> Array:
    q = _coordinates(mixture, z)
    p = jax.nn.softmax(_log_parts(mixture, z, s, q), axis=-1)
    kept = mixture.spectra / (mixture.spectra + s**2)
    return p @ mixture.means + _span(mixture, p[..., None] * kept * q)


def _coordinates(mixture: "Mixture", z: Array) -> Array:
    """q_c = Q_c^T (z - m_c) [n, C, r]."""
    C, d, r = mixture.axes.shape
    q = z @ mixture.axes.swapaxes(0, 1).reshape(d, C * r)
    return q.reshape(len(z), C, r) - jnp.einsum("cd,cdr->cr", mixture.means, mixture.axes)


def _span(mixture: "Mixture", q: Array) -> Array:
    """sum_c Q_c q_c [n, d], of coordinates [n, C, r]."""
    C, d, r = mixture.axes.shape
    return q.reshape(len(q), C * r) @ mixture.axes.swapaxes(1, 2).reshape(C * r, d)


def _log_parts(mixture: "Mixture", z: Array, s: Array, q: Array) -> Array:
    """ln p_c + ln N(z; m_c, C_c + s^2) [n, C]."""
    d, r = mixture.axes.shape[1:]
    V = mixture.spectra + s**2
    distance = jnp.sum(jnp.square(q) / V, axis=-1)
    log_volume = jnp.sum(jnp.log(V), axis=-1)
    if r < d:  # outside its axes a family has the variance s^2
        centre = mixture.weights @ mixture.means
        x, m = z - centre, mixture.means - centre
        apart = jnp.sum(x * x, axis=-1)[..., None] - 2 * x @ m.T + jnp.sum(m * m, axis=-1)
        outside = jnp.maximum(apart - jnp.sum(q * q, axis=-1), 0.0)
        distance = distance + outside / s**2
        log_volume = log_volume + (d - r) * jnp.log(s**2)
    return jnp.log(mixture.weights) - 0.5 * (distance + log_volume + d * jnp.log(2 * jnp.pi))
