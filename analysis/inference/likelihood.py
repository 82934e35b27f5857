"""The likelihood of arms under a model, transition by transition.

The next generation learns from the measured images, so the measured moments are an exact starting
point, and the likelihood is a product over transitions. For the measured mean, ln V_W and ln V_B of
D components, y = (y_1, ..., y_D) each,

    y' ~ N(f(y) + p e, S + tau^2 [(1 - r) I + r 1 1^T]),

f(y) is the expectation of the model; e = y - f(y_before) the residual of y (0 in generation 0) and
p its persistence, because a model errs repeatedly on the same arm; S the sampling variances
(diagonal); tau^2 a process variance for each of the three quantities, by which seeds differ beyond
sampling, and r the correlation of components in it (left out for D = 1), because a chain moves all
its traits together. Seeds differ more in V_W as it declines: the tau of ln V_W is
process (V_W/V_W0)^-growth, with V_W averaged over components on the log scale.
"""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from analysis.arms.design import Design
from analysis.models import EVERY_LINK, Model, Parameter, Setting, Values, priors, values_of
from qtm import Families
from qtm._core.numerics import require_double

PROCESS = tuple(
    Parameter(
        f"process_{quantity}", f"process standard deviation of {what}, per generation", "positive",
        1e-3, 5.0, 0.04, 0.7,
    )
    for quantity, what in (
        ("mean", "the mean, in sd of generation 0"), ("within", "ln V_W"), ("between", "ln V_B")
    )
)  # fmt: skip
GROWTH = Parameter(
    "process_growth", "power of V_W0/V_W by which the process standard deviation of ln V_W grows",
    "real", -1.0, 3.0, 1.0, 0.5, "arms in which V_W moves far from generation 0",
)  # fmt: skip
PERSISTENCE = Parameter(
    "process_persistence", "fraction of a residual that recurs in the next generation",
    "real", -0.5, 0.95, 0.5, 0.3,
)  # fmt: skip
CORRELATION = Parameter(
    "process_correlation", "correlation of components in the process variance",
    "fraction", 1e-3, 0.99, 0.3, 1.0, "a trait with several components",
)  # fmt: skip


def all_parameters(model: Model, components: int) -> tuple[Parameter, ...]:
    """Return the parameters of a model with any link, and those of the process variance."""
    shared = (CORRELATION,) if components > 1 else ()
    return (*model.general.parameters, *PROCESS, GROWTH, PERSISTENCE, *shared)


def expected(
    model: Model, values: Values, y: Float[Array, "3 D"], setting: Setting
) -> Float[Array, "3 D"]:
    """Return the expected mean, ln V_W and ln V_B after the measured y [3, D]."""
    state = Families(y[0], jnp.exp(y[1]), jnp.exp(y[2]))
    after = model.step(values, state, setting)
    return jnp.stack([after.mean, jnp.log(after.within), jnp.log(after.between)])


def all_expected(model: Model, values: Values, design: Design) -> Float[Array, "R G 3 D"]:
    """Return the expectation of generations 1 to G of all arms, each from the one before."""
    step = lambda y, setting: expected(model, values, y, setting)
    return jax.vmap(jax.vmap(step))(design.measured[:, :-1], design.settings)


def pointwise(model: Model, values: Values, design: Design) -> Float[Array, "R G 3"]:
    """Return the log density [R, G, 3] of each quantity in each transition, seen or not."""
    rest = design.measured[:, 1:] - all_expected(model, values, design)
    before = jnp.pad(rest[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    rest = rest - values[PERSISTENCE.name] * before
    tau = process_std(values, design.measured[:, :-1], design.measured[:, :1])
    return log_density(rest, _errors(design), tau, values.get(CORRELATION.name, 0.0))


def _errors(design: Design) -> Float[Array, "R G 3 D"]:
    """Return the variances of the sampling errors of transitions [R, G, 3, D].

    The images of families are themselves what is learnt, and so an exact start. Where replicates
    distinguish V_W and V_B (n is infinite), the start is an estimate too, and its error is added as
    if it were passed on in full.
    """
    estimated = jnp.isinf(design.settings.family_size)[..., None, None]
    return design.sampling[:, 1:] + jnp.where(estimated, design.sampling[:, :-1], 0.0)


def process_std(
    values: Values, y: Float[Array, "*n 3 D"], first: Float[Array, "... 3 D"]
) -> Float[Array, "*n 3 1"]:
    """Return the process standard deviations [..., 3, 1] after y [..., 3, D]; `first` is y of
    generation 0."""
    lost = jnp.mean(first[..., 1, :] - y[..., 1, :], axis=-1)
    growth = jnp.exp(values[GROWTH.name] * jnp.clip(lost, -5.0, 5.0))
    same = jnp.ones_like(growth)
    tau = jnp.stack([values[p.name] for p in PROCESS])
    return (tau * jnp.stack([same, growth, same], axis=-1))[..., None]


def log_density(
    rest: Float[Array, "*n 3 D"],
    sampling: Float[Array, "*n 3 D"],
    tau: Float[Array, "*n 3 1"],
    r: Float[Array, ""] | float,
) -> Float[Array, "*n 3"]:
    """Return the log density of N(0, S + tau^2 [(1 - r) I + r 1 1^T]) at `rest` [..., 3, D].

    By the matrix inversion lemma, with a = S + tau^2 (1 - r) and b = tau^2 r.
    """
    tau2 = jnp.square(tau)
    a, b = sampling + tau2 * (1 - r), (tau2 * r)[..., 0]
    ones = jnp.sum(1 / a, axis=-1)
    square = jnp.sum(jnp.square(rest) / a, axis=-1)
    square -= b * jnp.square(jnp.sum(rest / a, axis=-1)) / (1 + b * ones)
    log_det = jnp.sum(jnp.log(a), axis=-1) + jnp.log1p(b * ones)
    return -0.5 * (square + log_det + rest.shape[-1] * jnp.log(2 * jnp.pi))


def log_likelihood(model: Model, x: Float[Array, " k"], design: Design) -> Float[Array, ""]:
    """Return the log likelihood of seen transitions, at x on the scale of the search."""
    values = values_of(all_parameters(model, design.components), x)
    return jnp.sum(design.seen[..., None] * pointwise(model, values, design))


def log_prior(parameters: tuple[Parameter, ...], x: Float[Array, " k"]) -> Float[Array, ""]:
    """Return the log density of the priors, normal on the scale of the search within the bounds, up
    to a constant."""
    low, high, typical, spread = priors(parameters)
    density = -0.5 * jnp.sum(jnp.square((x - typical) / spread))
    return jnp.where(jnp.all((low <= x) & (x <= high)), density, -jnp.inf)


def linked(model: Model, design: Design) -> Design:
    """Return the design under a model's link."""
    require_double()
    place = EVERY_LINK.index(model.link)
    settings = replace(design.settings, link=jnp.full_like(design.settings.scale, place))
    return replace(design, settings=settings)


@cache
def loss_and_gradient(model: Model):
    """Return the compiled negative log likelihood of a general model, and its gradient in x."""
    return jax.jit(jax.value_and_grad(lambda x, design: -log_likelihood(model, x, design)))
