"""Hyperparameters of the theory of prompts by NUTS, beside the mode that predictions use.

Four leading axes, three generations of five chains of the grid `transmission`, to predict the one
at CFG 2.5. Draws of hyperparameters are those of `analysis.prompts.motion`, with their priors.
"""

from tests.verification.expectations import Claim, at_least, between, exactly

CLAIMS = (
    Claim("LOG.md", "medians of prompt means differ by 0.04 and those of ln V_B by 0.07 of half a "
    "90 % interval from those at the mode, and intervals are 4 and 5 % wider"),
)  # fmt: skip
EXPECTED = {
    "divergent steps": exactly(0),
    "least effective sample size": at_least(100),
    "medians of prompt means (half intervals)": between(0.02, 0.06),
    "medians of ln V_B (half intervals)": between(0.04, 0.10),
    "width of intervals of prompt means": between(0.98, 1.13),
    "width of intervals of ln V_B": between(0.98, 1.16),
}
SECONDS, MEMORY = 220, 2.0
AXES, GENERATIONS, SCALE = 4, 3, 2.5
WARMUP, SAMPLES, CHOSEN, PATHS = 300, 300, 30, 32


def measure() -> dict[str, float]:
    from dataclasses import replace

    import jax
    import jax.numpy as jnp
    import numpy as np
    from numpyro.diagnostics import effective_sample_size
    from numpyro.infer import MCMC, NUTS

    from analysis.models import priors
    from analysis.prompts import motion, paths
    from analysis.prompts.process import conditioned, stacked
    from analysis.prompts.reading import chains
    from empirical.runs import kept

    read, _ = chains(run for run in kept.runs("transmission") if run.name.startswith("baseline"))
    leading = [_leading(chain) for chain in read]
    target = next(chain for chain in leading if chain.label == SCALE)
    seen = [chain for chain in leading if chain.label != SCALE]
    theory = paths.fit(seen)
    inputs, outputs = [], []
    for chain in seen:
        for t in range(GENERATIONS):
            inputs.append(motion.inputs(chain, chain.means[t], t))
            outputs.append((chain.means[t + 1] - chain.means[t]) / np.sqrt(chain.unit))
    observed, moved = stacked(inputs), np.concatenate(outputs)
    given = {name: jnp.asarray(value) for name, value in observed.items()}
    y = jnp.asarray(moved.T)
    _, _, typical, spread = (jnp.asarray(part) for part in priors(motion.FAMILY.parameters))

    def potential(x):
        L = jnp.linalg.cholesky(motion.FAMILY.covariance(x, given))
        z = jax.scipy.linalg.solve_triangular(L, y[..., None], lower=True)
        volume = jnp.sum(jnp.log(jnp.diagonal(L, axis1=-2, axis2=-1)))
        prior = jnp.sum(jnp.square((x - typical) / spread)) / 2
        return jnp.sum(jnp.square(z)) / 2 + volume + prior

    sampler = MCMC(
        NUTS(potential_fn=potential, max_tree_depth=6),
        num_warmup=WARMUP, num_samples=SAMPLES, progress_bar=False,
    )  # fmt: skip
    mode = jnp.asarray(theory.motion.x)
    sampler.run(jax.random.key(0), init_params=mode, extra_fields=("diverging",))
    x = np.asarray(sampler.get_samples())

    def drawn(process, size, seed):
        means = paths.paths(replace(theory, motion=process), target, 0, size, seed).means
        V_B = means.var(axis=-2, ddof=1).sum(axis=-1)
        return means[:, 1:] / np.sqrt(target.unit), np.log(V_B[:, 1:])

    at_mode = drawn(theory.motion, CHOSEN * PATHS, 1)
    each = [
        drawn(conditioned(motion.FAMILY, x[i], observed, moved), PATHS, 10 + i)
        for i in range(0, SAMPLES, SAMPLES // CHOSEN)
    ]
    values = {
        "divergent steps": float(sampler.get_extra_fields()["diverging"].sum()),
        "least effective sample size": float(effective_sample_size(x[None]).min()),
    }
    for k, name in enumerate(("prompt means", "ln V_B")):
        sampled = np.concatenate([part[k] for part in each])
        low, median, high = np.quantile(at_mode[k], (0.05, 0.5, 0.95), axis=0)
        lower, middle, upper = np.quantile(sampled, (0.05, 0.5, 0.95), axis=0)
        apart = np.abs(middle - median) / ((high - low) / 2)
        values[f"medians of {name} (half intervals)"] = float(apart.mean())
        values[f"width of intervals of {name}"] = float(
            (upper - lower).mean() / (high - low).mean()
        )
    return values


def _leading(chain):
    """Return the first axes and generations of a chain, without traits."""
    from dataclasses import replace

    K = AXES
    part = chain.until(GENERATIONS)
    return replace(
        part,
        means=part.means[..., :K],
        within=part.within[..., :K, :K],
        base_means=part.base_means[:, :K],
        base_within=part.base_within[:, :K, :K],
        traits={},
        unguided=None,
    )
