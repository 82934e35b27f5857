"""A Gaussian mixture, and its exact score at any noise level."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key, Shaped

from qtm._core.numerics import (
    concrete,
    real,
    require,
    require_double,
    require_finite,
    require_integer,
    require_nonnegative,
    require_positive,
    safe_sqrt,
)
from qtm.mixture._spectra import fitted, spectrum


class Mixture(eqx.Module):
    """Families (prompts) c with weights p_c, means m_c and covariances C_c = Q_c diag(l_c) Q_c^T.

    `weights` [C] sum to 1; `means` [C, d] are in feature units, `spectra` [C, r] (l_c) in feature
    units squared; the columns of `axes` [C, d, r] (Q_c) are orthonormal. With r < d a family has no
    variance outside its r axes: covariances that are fitted to n images have no more than n - 1,
    and work and memory grow with r d, not with d^2.

    With y = z + s e and e ~ N(0, 1), family c is N(m_c, C_c + s^2) at noise level s; all methods
    below take z [n, d] and one s, in feature units. A covariance that is singular needs s > 0.
    """

    weights: Float[Array, " C"]
    means: Float[Array, "C d"]
    spectra: Float[Array, "C r"]
    axes: Float[Array, "C d r"]

    @classmethod
    def of(cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> "Mixture":
        """Make a mixture of weights [C] (normalised to 1), means [C, d], covariances [C, d, d].

        Raises ValueError if shapes do not match, anything is not finite, a weight is negative or
        all are 0, or a covariance is not symmetric or has a negative eigenvalue.
        """
        p, m, V = (np.asarray(x, np.float64) for x in (weights, means, covariances))
        if p.ndim != 1 or m.shape != (*p.shape, *m.shape[-1:]) or V.shape != (*m.shape, m.shape[1]):
            raise ValueError(
                "weights, means and covariances must have shapes [C], [C, d] and [C, d, d], got "
                f"{p.shape}, {m.shape} and {V.shape}."
            )
        for name, value in (("weights", p), ("means", m), ("covariances", V)):
            require_finite(name, value)
        require_nonnegative("weights", p)
        require_positive("the sum of weights", p.sum())
        size = np.maximum(np.abs(V).max(axis=(1, 2), keepdims=True), 1e-300)
        skew = np.abs(V - V.swapaxes(1, 2)) / size
        require("the asymmetry of a covariance, relative to its largest entry,", skew,
                "0 up to rounding", lambda x: x < 1e-9)  # fmt: skip
        spectra, axes = spectrum(V)
        require("an eigenvalue of a covariance, relative to its largest entry,",
                spectra / size[..., 0], "at least 0 up to rounding", lambda x: x > -1e-9,
                )  # fmt: skip
        return cls(real(p / p.sum()), real(m), real(np.maximum(spectra, 0.0)), real(axes))

    @classmethod
    def fit(
        cls, values: ArrayLike, families: Sequence | Shaped[np.ndarray, " n"], ddof: int = 1
    ) -> "Mixture":
        """Fit weights, means and covariances to traits [n, d] with n labels (prompts).

        Families come in the sorted order of their labels. Covariances have the divisor n_c - ddof:
        ddof = 0 is maximum likelihood, ddof = 1 unbiased.

        Raises ValueError if the shapes do not match, a trait is not finite, or a family has no more
        than ddof images.
        """
        z, (names, family) = real(values), np.unique(np.asarray(families), return_inverse=True)
        if z.ndim != 2 or len(z) == 0 or family.shape != z.shape[:1]:
            raise ValueError(
                "values and families must have shapes [n, d] and [n] with n at least 1, got "
                f"{z.shape} and {family.shape}."
            )
        require_finite("values", z)
        sizes = np.bincount(family)
        if sizes.min() <= ddof:
            raise ValueError(
                f"a family must have more than ddof = {ddof} images, got {sizes.min()} in family "
                f"{names[sizes.argmin()].item()!r}."
            )
        return cls(jnp.asarray(sizes / sizes.sum()), *fitted(z, family, ddof))

    @property
    def families(self) -> int:
        """Number of families C."""
        return self.means.shape[0]

    @property
    def dimension(self) -> int:
        """Number of traits d."""
        return self.means.shape[1]

    @property
    def covariances(self) -> Float[Array, "C d d"]:
        """Covariances C_c of the traits of each family, in feature units squared."""
        return jnp.einsum("cir,cr,cjr->cij", self.axes, real(self.spectra), self.axes)

    @property
    def within(self) -> Float[Array, " d"]:
        """V_W of each trait, the variance within families averaged over them."""
        return jnp.einsum("c,cir,cr->i", self.weights, self.axes**2, real(self.spectra))

    @property
    def between(self) -> Float[Array, " d"]:
        """V_B of each trait, the variance of the family means, weighted."""
        return self.weights @ jnp.square(real(self.means) - self.weights @ self.means)

    def family(self, c: int) -> "Mixture":
        """Return family c alone, whose score is the conditional score of a prompt.

        Raises ValueError if there is no family c.
        """
        c = require_integer("c", c, least=0)
        if c >= self.families:
            raise ValueError(f"c must be at most {self.families - 1}, got {c}.")
        chosen = slice(c, c + 1)
        return Mixture(
            real(np.ones(1)), self.means[chosen], self.spectra[chosen], self.axes[chosen]
        )

    @eqx.filter_jit
    def draw(self, keys: Key[Array, " n"], families: ArrayLike) -> Float[Array, "n d"]:
        """Draw one z from family c for each key [n] and c in `families` [n], without guidance."""
        require_double()
        r = self.axes.shape[2]
        e = jax.vmap(lambda key: jr.normal(key, (r,)))(keys)
        c = jnp.asarray(families)
        return jax.lax.map(  # one at a time: the axes of n images at once may not fit into memory
            lambda x: self.means[x[0]] + self.axes[x[0]] @ (safe_sqrt(self.spectra[x[0]]) * x[1]),
            (c, e),
        )

    def log_density(self, z: ArrayLike, level: ArrayLike = 0.0) -> Float[Array, " n"]:
        """Return ln p(z) of the mixture at noise level s."""
        return _log_density(self, *self._checked(z, level))

    def responsibilities(self, z: ArrayLike, level: ArrayLike = 0.0) -> Float[Array, "n C"]:
        """Return p(c | z), the posterior of the family, at noise level s."""
        return _responsibilities(self, *self._checked(z, level))

    def score(self, z: ArrayLike, level: ArrayLike = 0.0) -> Float[Array, "n d"]:
        """Return grad ln p(z) = - sum_c p(c|z) (C_c + s^2)^-1 (z - m_c) at noise level s."""
        return _score(self, *self._checked(z, level))

    def denoise(self, z: ArrayLike, level: ArrayLike) -> Float[Array, "n d"]:
        """Return E[clean z | noisy z] = sum_c p(c|z) [m_c + C_c (C_c + s^2)^-1 (z - m_c)].

        Equals z + s^2 score(z) (Tweedie's formula), without its loss of digits at low s.
        """
        return denoised(self, *self._checked(z, level))

    def _checked(self, z: ArrayLike, level: ArrayLike) -> tuple[Array, Array]:
        z, s = real(z), real(level)
        if z.ndim != 2 or z.shape[1] != self.dimension:
            raise ValueError(f"z must have shape [n, {self.dimension}], got {z.shape}.")
        require_nonnegative("level", s)
        if concrete(self.spectra):
            outside = self.axes.shape[2] < self.dimension
            if outside or not np.all(np.asarray(self.spectra) > 0):
                require_positive("level, where a covariance is singular,", s)
        return z, s


# Densities and scores for z [n, d] at one noise level s, unchecked. All families are projected onto
# their axes by one product of matrices, and led back by another: 4 C r d operations for each z, and
# everything between costs C r.


@eqx.filter_jit
def _log_density(mixture: Mixture, z: Array, s: Array) -> Array:
    return jax.nn.logsumexp(_log_parts(mixture, z, s, _coordinates(mixture, z)), axis=-1)


@eqx.filter_jit
def _responsibilities(mixture: Mixture, z: Array, s: Array) -> Array:
    return jax.nn.softmax(_log_parts(mixture, z, s, _coordinates(mixture, z)), axis=-1)


@eqx.filter_jit
def _score(mixture: Mixture, z: Array, s: Array) -> Array:
    q = _coordinates(mixture, z)
    p = jax.nn.softmax(_log_parts(mixture, z, s, q), axis=-1)
    inside = _span(mixture, p[..., None] * q / (mixture.spectra + s**2))
    if mixture.axes.shape[2] == mixture.dimension:
        return -inside
    outside = z - p @ mixture.means - _span(mixture, p[..., None] * q)
    return -inside - outside / s**2


@eqx.filter_jit
def denoised(mixture: Mixture, z: Float[Array, "n d"], s: Float[Array, ""]) -> Float[Array, "n d"]:
    """Compute `Mixture.denoise` without its checks."""
    q = _coordinates(mixture, z)
    p = jax.nn.softmax(_log_parts(mixture, z, s, q), axis=-1)
    kept = mixture.spectra / (mixture.spectra + s**2)
    return p @ mixture.means + _span(mixture, p[..., None] * kept * q)


def _coordinates(mixture: Mixture, z: Array) -> Array:
    """q_c = Q_c^T (z - m_c) [n, C, r]."""
    C, d, r = mixture.axes.shape
    q = z @ mixture.axes.swapaxes(0, 1).reshape(d, C * r)
    return q.reshape(len(z), C, r) - jnp.einsum("cd,cdr->cr", mixture.means, mixture.axes)


def _span(mixture: Mixture, q: Array) -> Array:
    """sum_c Q_c q_c [n, d], of coordinates [n, C, r]."""
    C, d, r = mixture.axes.shape
    return q.reshape(len(q), C * r) @ mixture.axes.swapaxes(1, 2).reshape(C * r, d)


def _log_parts(mixture: Mixture, z: Array, s: Array, q: Array) -> Array:
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
