"""Random walks, stasis and Ornstein-Uhlenbeck: moments, and likelihoods in linear time.

Each is a first-order Markov process, x_i = c + a_i x_(i-1) + w_i with w_i of variance q_i, measured
as z_i = x_i + e_i with e_i of variance E_i. So the innovations z_i - a_i z_(i-1) have a
tridiagonal covariance,

    diagonal        q_i + E_i + a_i^2 E_(i-1)
    off-diagonal    -a_i E_(i-1)

whose determinant is that of the sample means. No division by q or E is needed, and a series of T
samples costs of order T.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs
from scipy.stats import norm

from analysis.trait_series.series import TraitSeries

MODELS = ("random walk", "directional walk", "stasis", "Ornstein-Uhlenbeck")
_factor, _divide = get_lapack_funcs(("pttrf", "tbtrs"), dtype=np.float64)


def moments(
    model: str, values: dict[str, float], s: TraitSeries
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "T T"]]:
    """Return the mean [T] and covariance [T, T] of the sample means under a model.

    With t since the first sample and the sampling variances E on the diagonal,

        random walk         a                             s2 min(t, t') + E
        directional walk    a + mu t                      s2 min(t, t') + E
        stasis              theta                         omega I + E
        Ornstein-Uhlenbeck  theta + (a - theta) e^(-k t)  s2/(2 k) [e^(-k|t-t'|) - e^(-k(t+t'))] + E

    a is the ancestor, s2 the variance of a step a generation, k is alpha (Hunt 2006; Hunt, Bell &
    Travis 2008).
    """
    t, E = s.time - s.time[0], np.diag(s.error)
    mean = expected(model, values, t)
    if model == "stasis":
        return mean, values["omega"] * np.eye(len(t)) + E
    apart, early = np.abs(t[:, None] - t), np.minimum(t[:, None], t)
    if model == "Ornstein-Uhlenbeck":
        k = values["alpha"]
        # As above, and accurate where k t is small.
        until = -np.expm1(-2 * k * early) / (2 * k)
        return mean, values["step_variance"] * np.exp(-k * apart) * until + E
    return mean, values["step_variance"] * early + E


def expected(
    model: str, values: dict[str, float], t: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " T"]:
    """Return the mean [T] of a model at times t since the first sample."""
    if model == "stasis":
        return np.full_like(t, values["theta"])
    if model == "Ornstein-Uhlenbeck":
        far = values["theta"] - values["ancestor"]
        return values["ancestor"] - far * np.expm1(-values["alpha"] * t)
    return values["ancestor"] + values.get("step_mean", 0.0) * t


def log_likelihood(model: str, values: dict[str, float], s: TraitSeries) -> float:
    """Return the joint log likelihood of all sample means, in time of order T."""
    t = s.time - s.time[0]
    root = innovations(model, values, t, s.error)
    return root.log_density(s.mean - expected(model, values, t))


@dataclass(frozen=True)
class Innovations:
    """The autoregressive coefficients [T - 1] of a process, and its innovations' covariance.

    The covariance is L D L' with D [T] and L unit lower bidiagonal with `below` [T - 1]; `definite`
    says whether it is positive definite.
    """

    memory: Float[np.ndarray, " steps"]
    D: Float[np.ndarray, " T"]
    below: Float[np.ndarray, " steps"]
    definite: bool

    def apply(self, x: Float[np.ndarray, "T *columns"]) -> Float[np.ndarray, "T *columns"]:
        """Return the innovations of one column [T] or of several [T, columns]."""
        y = np.array(x)
        y[1:] -= (self.memory * x[:-1].T).T
        return y

    def whiten(self, y: Float[np.ndarray, "T *columns"]) -> Float[np.ndarray, "T *columns"]:
        """Make innovations [T] or [T, columns] independent, of variance 1."""
        band = np.ones((2, len(self.D)))
        band[1, :-1] = self.below
        white = _divide(band, np.atleast_2d(y.T).T, uplo="L", diag="U")[0]
        return (white / np.sqrt(self.D)[:, None]).reshape(y.shape)

    @property
    def constant(self) -> float:
        """Log density at the mean of the process."""
        return -0.5 * float(np.log(self.D).sum() + len(self.D) * np.log(2 * np.pi))

    def log_density(self, x: Float[np.ndarray, " T"]) -> float:
        """Return the log density of deviations x [T] from the mean of the process."""
        if not self.definite:
            return -np.inf
        white = self.whiten(self.apply(x))
        return self.constant - 0.5 * float(white @ white)


def innovations(
    model: str, values: dict[str, float], t: Float[np.ndarray, " T"], error: Float[np.ndarray, " T"]
) -> Innovations:
    """Return the innovations of a model at times t since the first sample, with errors [T]."""
    dt = np.diff(t)
    noise = np.zeros_like(t)
    if model == "stasis":
        memory = np.zeros_like(dt)
        noise[:] = values["omega"]
    elif model == "Ornstein-Uhlenbeck":
        k = values["alpha"]
        memory = np.exp(-k * dt)
        noise[1:] = values["step_variance"] * (-np.expm1(-2 * k * dt) / (2 * k))
    else:
        memory = np.ones_like(dt)
        noise[1:] = values["step_variance"] * dt
    diagonal = noise + error
    diagonal[1:] += memory**2 * error[:-1]
    D, below, info = _factor(diagonal, -memory * error[:-1])
    return Innovations(memory, D, below, info == 0)


def stepwise_log_likelihood(step_mean: float, step_variance: float, s: TraitSeries) -> float:
    """Return the log likelihood of a walk by its steps between samples: N(mu dt, s2 dt + E + E').

    It treats steps as independent, and neglects that neighbours share a sample, whose error enters
    them with opposite signs.
    """
    dt, E = np.diff(s.time), s.error
    spread = np.sqrt(step_variance * dt + E[1:] + E[:-1])
    return float(norm.logpdf(np.diff(s.mean), step_mean * dt, spread).sum())
