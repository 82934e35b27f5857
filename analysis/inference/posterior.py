"""The posterior of a model by NUTS, as ArviZ InferenceData, with diagnostics in words."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from analysis._arviz import arviz
from analysis.arms.design import Design
from analysis.inference.importance import draw_posterior
from analysis.inference.likelihood import (
    all_parameters,
    linked,
    log_likelihood,
    pointwise,
    values_of,
)
from analysis.inference.maximum import Maximum, maximize
from analysis.models import Model, priors

CHAINS, WARMUP, DRAWS = 2, 100, 500


def posterior(
    model: Model, design: Design, start: Maximum | None = None, seed: int = 0, draws: int = DRAWS
) -> Any:
    """Draw from the posterior of a model: an `arviz.InferenceData`.

    Priors are those of the parameters, normal on the scale of the search within the bounds
    (`Parameter`). Groups:
    `posterior` with parameters by name in their units, `sample_stats`, `log_likelihood` with a
    value for each seen quantity of each transition (``az.loo`` gives PSIS-LOO), `observed_data`.
    """
    import numpyro
    from numpyro.distributions import TruncatedNormal, biject_to
    from numpyro.infer import MCMC, NUTS, init_to_value

    parameters, design = all_parameters(model, design.components), linked(model, design)
    mode = maximize(model, design, near=None if start is None else start.x, prior=1.0)
    least, most, typical, spread = priors(parameters)

    low, high = jnp.asarray(((least - typical) / spread, (most - typical) / spread))

    prior = TruncatedNormal(jnp.zeros(len(parameters)), 1.0, low=low, high=high)
    # Importance sampling gives the shape of the posterior, so that NUTS need not adapt to it.
    known = (draw_posterior(mode, design, seed=seed).x - typical) / spread
    shape = jnp.cov(biject_to(prior.support).inv(jnp.asarray(known)), rowvar=False)

    def joint() -> None:
        z = numpyro.sample("z", prior.to_event(1))
        numpyro.factor(
            "data", log_likelihood(model, jnp.asarray(typical) + jnp.asarray(spread) * z, design)
        )

    margin = 1e-3 * (most - least)
    inside = np.clip(mode.x, least + margin, most - margin)
    begin = init_to_value(values={"z": jnp.asarray((inside - typical) / spread)})
    sampler = MCMC(
        NUTS(
            joint,
            init_strategy=begin,
            inverse_mass_matrix=shape,
            dense_mass=True,
            adapt_mass_matrix=False,
            max_tree_depth=7,
        ),
        num_warmup=WARMUP,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    sampler.run(jr.key(seed), extra_fields=("diverging", "num_steps", "potential_energy"))
    x = typical + spread * np.asarray(sampler.get_samples(group_by_chain=True)["z"])
    values = values_of(parameters, jnp.moveaxis(jnp.asarray(x), -1, 0))
    names = {p.name for _, p in mode.indexed_parameters()}
    extra = sampler.get_extra_fields(group_by_chain=True)
    seen = np.asarray(design.seen) > 0
    of_draw = jax.jit(lambda point: pointwise(model, values_of(parameters, point), design))
    density = np.asarray(jax.lax.map(of_draw, jnp.asarray(x.reshape(-1, x.shape[-1]))))
    density = density[:, seen].reshape(*x.shape[:2], -1, 3)
    return arviz().from_dict(
        posterior={name: np.asarray(v) for name, v in values.items() if name in names},
        sample_stats={
            "diverging": np.asarray(extra["diverging"]),
            "n_steps": np.asarray(extra["num_steps"]),
            "lp": -np.asarray(extra["potential_energy"]),
        },
        log_likelihood={"y": density},
        observed_data={"y": np.asarray(design.measured)[:, 1:][seen].mean(axis=-1)},
        dims={"y": ["transition", "quantity"]},
        coords={"quantity": ["mean", "within", "between"]},
        attrs={"model": model.name},
    )


def diagnostics(data: Any, model: Model, components: int) -> list[str]:
    """Return sentences on the problems of a posterior; none where there is no problem.

    Problems are R-hat above 1.01, an effective sample below 100 per chain, divergences, Pareto k
    above 0.7 in PSIS-LOO, and parameters with a posterior as wide as the prior, with the data that
    would identify them.
    """
    sentences = []
    summary = arviz().summary(data, round_to="none", kind="diagnostics")
    for name, row in summary.iterrows():
        if row["r_hat"] > 1.01:
            sentences.append(f"{name} has R-hat {row['r_hat']:.4f}: chains disagree, draw more")
        if row["ess_bulk"] < 100 * data.posterior.sizes["chain"]:
            sentences.append(f"{name} has an effective sample of {row['ess_bulk']:.0f}: draw more")
    diverging = int(data.sample_stats["diverging"].sum())
    if diverging:
        sentences.append(f"{diverging} draws diverged: part of the posterior was not explored")
    for p in all_parameters(model, components):
        if p.name not in data.posterior:
            continue  # of another link
        draws = np.asarray([p.to_real(v) for v in data.posterior[p.name].to_numpy().ravel()])
        if draws.std() > 0.8 * p.spread:
            sentences.append(
                f"{p.name} is hardly better known than a priori: identifying it takes {p.from_data}"
            )
    bad = int((loo(data).pareto_k > 0.7).sum())
    if bad:
        sentences.append(f"PSIS-LOO is unreliable for {bad} transitions (Pareto k above 0.7)")
    return sentences


def write(data: Any, path: Path, groups: list[str] | None = None) -> None:
    """Write a posterior, or some of its groups, as NetCDF, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        data.to_netcdf(str(Path(place) / path.name), groups=groups)
        (Path(place) / path.name).replace(path)


def loo(data: Any) -> Any:
    """Return PSIS-LOO of a posterior (`arviz.loo` with pointwise values)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reported by `diagnostics`
        return arviz().loo(data, pointwise=True)
