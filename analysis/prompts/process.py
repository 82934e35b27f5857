"""Gaussian processes with several outputs, and draws of functions along a path.

Output d of an observation is y_d = f_d(x) + e_d, with f_d a Gaussian process of mean m_d (0 unless
a family has one) and kernel k_d (or one for all), and e_d independent normal. Hyperparameters are
at their posterior mode: the log marginal likelihood

    sum_d -[z_d^T K_d^-1 z_d + ln |K_d|]/2,   z_d = y_d - m_d(X),   K_d = k_d(X, X) + diag(noise)

plus the log priors (Rasmussen & Williams 2006, eq. 2.30). A drawn function is evaluated where its
own path leads, each value given the observations and the values drawn before: so the error of a
function persists down a path as it should.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Shaped
from scipy.linalg import solve_triangular as solve
from scipy.optimize import minimize

from analysis._threads import one_thread
from analysis.models import Parameter, Values, priors, values_of
from empirical.errors import UserError
from qtm._core.numerics import require_double

Inputs = Mapping[str, Shaped[Array, "..."]]
Observed = Mapping[str, Shaped[np.ndarray, "..."]]
# One matrix for each output, or one for all of them (E = D or 1).
Kernel = Callable[[Values, Inputs, Inputs], Float[Array, "E n m"]]
Noise = Callable[[Values, Inputs], Float[Array, " n"]]
Mean = Callable[[Values, Inputs], Float[Array, "n #D"]]
# Keeps covariances of drawn values positive, in units of the outputs squared.
_JITTER = 1e-6
# Kernels divide by these: lengths, and where guidance acts.
_LENGTHS = ("length", "guided_noise", "guided_breadth")


def nothing(values: Values, inputs: Inputs) -> Float[Array, "n #D"]:
    """Return the mean 0."""
    return jnp.zeros((1, 1))


@dataclass(frozen=True)
class Family:
    """A kernel, the variance of noise at an input, their hyperparameters with priors, and the mean
    of the process; the hyperparameters that are `absent` are 0."""

    kernel: Kernel
    noise: Noise
    parameters: tuple[Parameter, ...]
    mean: Mean = nothing
    absent: tuple[str, ...] = ()

    def values(self, x: Float[Array, " k"]) -> Values:
        """Return the hyperparameters at x on the scale of the search."""
        known = values_of(self.parameters, x)
        return {**known, **{name: jnp.zeros(()) for name in self.absent}}

    def without(self, names: Sequence[str]) -> "Family":
        """Return the family in which the hyperparameters of these names are 0 as well.

        Raises `UserError` for others than its own, and for lengths, which cannot be 0.
        """
        known = [p.name for p in self.parameters if not p.name.endswith(_LENGTHS)]
        for name in names:
            if name not in known:
                raise UserError(
                    f"there is no part '{name}' to be left out, there are {', '.join(known)}"
                )
        absent = tuple(dict.fromkeys((*self.absent, *names)))
        return replace(self, absent=absent) if names else self

    def covariance(self, x: Float[Array, " k"], inputs: Inputs) -> Float[Array, "E n n"]:
        """Return K [E, n, n] of observations, noise included."""
        values = self.values(x)
        return self.kernel(values, inputs, inputs) + jnp.diag(self.noise(values, inputs) + _JITTER)


@dataclass(frozen=True)
class Process:
    """A family given observations: hyperparameters `x` on the scale of the search, `inputs`,
    Cholesky factors L [E, n, n] of K and L^-1 z [D, n]; `evidence` is the log marginal likelihood.
    Fits from one that is `held` keep its hyperparameters.
    """

    family: Family
    x: Float[np.ndarray, " k"]
    inputs: Inputs
    factors: Float[np.ndarray, "E n n"]
    whitened: Float[np.ndarray, "D n"]
    evidence: float
    held: bool = False

    @property
    def values(self) -> dict[str, float]:
        """Hyperparameters by name."""
        values = self.family.values(jnp.asarray(self.x))
        return {name: float(value) for name, value in values.items()}

    def draws(self, size: int, seed: int) -> "Draws":
        """Return `size` functions to draw from the process."""
        return Draws(self, size, np.random.default_rng(seed))


@one_thread
def condition(
    family: Family, inputs: Observed, outputs: Float[np.ndarray, "n D"], near: Process | None = None
) -> Process:
    """Fit the hyperparameters of a family to observations, from those of `near` if given, or with
    those of `near` if it is held."""
    require_double()
    if near is not None and near.held:
        return conditioned(family, near.x, inputs, outputs)
    low, high, typical, spread = priors(family.parameters)
    y, a = jnp.asarray(outputs.T), {k: jnp.asarray(v) for k, v in inputs.items()}
    compiled = _loss(family)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = compiled(jnp.asarray(x), a, y)
        away = (x - typical) / spread
        return float(value + away @ away / 2), np.asarray(slope) + away / spread

    best = minimize(
        loss, typical if near is None else near.x, jac=True, method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)), options={"maxiter": 60, "ftol": 1e-6},
    )  # fmt: skip
    return conditioned(family, best.x, inputs, outputs)


def conditioned(
    family: Family, x: Float[np.ndarray, " k"], inputs: Observed, outputs: Float[np.ndarray, "n D"]
) -> Process:
    """Return the process with given hyperparameters, given observations."""
    hyperparameters, a = jnp.asarray(x), {k: jnp.asarray(v) for k, v in inputs.items()}
    L = np.linalg.cholesky(np.asarray(_covariance(family)(hyperparameters, a)))
    D, n = outputs.T.shape
    factors = np.broadcast_to(L, (D, n, n))
    rest = (outputs - np.asarray(_mean(family)(hyperparameters, a))).T
    z = np.stack([solve(c, v, lower=True) for c, v in zip(factors, rest, strict=True)])
    evidence = -float(_loss(family)(hyperparameters, a, jnp.asarray(outputs.T))[0])
    return Process(family, x, a, L, z, evidence)


class Draws:
    """Functions drawn from a process, each known where it has been evaluated."""

    def __init__(self, process: Process, size: int, rng: np.random.Generator):
        self._process, self._size, self._rng = process, size, rng
        self._before: list[tuple[Observed, np.ndarray]] = []
        self._innovations: list[np.ndarray] = []
        self._factor: np.ndarray | None = None

    @one_thread
    def __call__(self, inputs: Observed, noisy: bool = True) -> Float[np.ndarray, "S m D"]:
        """Evaluate at inputs whose arrays begin with [S, m]; with the noise of an observation."""
        p, S = self._process, self._size
        x = jnp.asarray(p.x)
        m = next(iter(inputs.values())).shape[1]
        flat = {k: v.reshape(S * m, *v.shape[2:]) for k, v in inputs.items()}
        across = np.asarray(_between(p.family)(x, p.inputs, flat))
        (E, n), D = across.shape[:2], len(p.whitened)
        B = np.stack([solve(c, k, lower=True) for c, k in zip(p.factors, across, strict=True)])
        B = B.reshape(E, n, S, m).transpose(2, 0, 1, 3)
        mean = (B.swapaxes(2, 3) @ p.whitened[..., None])[..., 0]
        each = _of_each(p.family)
        inner = np.asarray(each(x, inputs, inputs)) - B.swapaxes(2, 3) @ B
        noise = np.asarray(_noise(p.family)(x, inputs))[:, None] if noisy else 0.0
        inner += np.eye(m) * _JITTER
        # Whatever was drawn before is conditioned on, by growing one Cholesky factor.
        e = self._rng.standard_normal((S, D, m))
        if self._factor is None:
            L, value = np.linalg.cholesky(_positive(inner)), 0.0
            self._factor = L
        else:
            cross = np.concatenate(
                [
                    np.asarray(each(x, before, inputs)) - C.swapaxes(2, 3) @ B
                    for before, C in self._before
                ],
                axis=2,
            )
            W = np.linalg.solve(self._factor, cross)
            L = np.linalg.cholesky(_positive(inner - W.swapaxes(2, 3) @ W))
            value = (W.swapaxes(2, 3) @ np.concatenate(self._innovations, axis=2)[..., None])[
                ..., 0
            ]
            zero = np.zeros((S, E, self._factor.shape[2], m))
            self._factor = np.concatenate(
                [
                    np.concatenate([self._factor, zero], axis=3),
                    np.concatenate([W.swapaxes(2, 3), L], axis=3),
                ],
                axis=2,
            )
        self._before.append((inputs, B))
        self._innovations.append(e)
        values = mean + value + (L @ e[..., None])[..., 0]
        if noisy:
            values = values + np.sqrt(noise) * self._rng.standard_normal(values.shape)
        expected = np.asarray(_mean(p.family)(x, flat))
        expected = np.broadcast_to(expected, (S * m, D)).reshape(S, m, D)
        return expected + values.swapaxes(1, 2)


def _positive(matrices: np.ndarray) -> np.ndarray:
    """Return covariances without the negative eigenvalues of rounding."""
    sizes, axes = np.linalg.eigh((matrices + matrices.swapaxes(-1, -2)) / 2)
    return (axes * np.maximum(sizes, _JITTER)[..., None, :]) @ axes.swapaxes(-1, -2)


@cache
def _loss(family: Family):
    def loss(x: Array, inputs: Inputs, outputs: Array) -> Array:
        L = jnp.linalg.cholesky(family.covariance(x, inputs))
        size = len(outputs) / len(L)
        rest = outputs - family.mean(family.values(x), inputs).T
        y = rest[..., None] if len(L) > 1 else rest.T[None]
        z = solve_triangular(L, y, lower=True)
        volume = jnp.sum(jnp.log(jnp.diagonal(L, axis1=-2, axis2=-1)))
        return jnp.sum(jnp.square(z)) / 2 + size * volume

    return jax.jit(jax.value_and_grad(loss))


@cache
def _covariance(family: Family):
    # Operation by operation every one of them would be compiled for every number of observations.
    return jax.jit(family.covariance)


@cache
def _mean(family: Family):
    return jax.jit(lambda x, a: family.mean(family.values(x), a))


@cache
def _between(family: Family):
    return jax.jit(lambda x, a, b: family.kernel(family.values(x), a, b))


@cache
def _of_each(family: Family):
    return jax.jit(
        jax.vmap(
            lambda x, a, b: family.kernel(family.values(x), a, b),
            in_axes=(None, 0, 0),
        )
    )


@cache
def _noise(family: Family):
    return jax.jit(jax.vmap(lambda x, a: family.noise(family.values(x), a), in_axes=(None, 0)))


def positive(names: Mapping[str, tuple[str, float, float]]) -> tuple[Parameter, ...]:
    """Return positive hyperparameters from name: (meaning, median, spread of the logarithm)."""
    return tuple(
        Parameter(name, meaning, "positive", typical / 60, 60 * typical, typical, spread)
        for name, (meaning, typical, spread) in names.items()
    )


def stacked(parts: Sequence[Observed]) -> Observed:
    """Return the inputs of several sets of observations as those of one."""
    return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def squared(a: Float[Array, "n K"], b: Float[Array, "m K"]) -> Float[Array, "n m"]:
    """Return squared distances [n, m] of points [n, K] and [m, K]."""
    return jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1)
