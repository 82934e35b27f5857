"""Simulated chains with one image a caption, measured by replicates, are fitted."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from analysis.arms.design import design
from analysis.arms.levels import COUNT, SIGMA
from analysis.arms.read import Arm
from analysis.arms.sampling import sampling_variances
from analysis.inference.importance import draw_posterior
from analysis.inference.likelihood import _errors
from analysis.inference.maximum import maximize
from analysis.models import every_model
from empirical.runs import moments
from qtm import Families, FamilyCycle

PROMPTS, GENERATIONS, SCALES = 500, 6, (1.0, 1.5, 2.5, 5.0, 7.5)
MODEL = "bounded family, saturating"
TRUTH = {
    "heritability": 0.9, "within_heritability": 0.9, "uptake": 0.3, "mutation_variance": 0.01,
    "confusion": 0.03, "bound": 2.0,
}  # fmt: skip
BASE = Families(0.0, 0.68, 0.32)
# strength (w - 1)/(1 + (w - 1)/saturation), the link of the model
STRENGTH, SATURATION = 0.6, 4.0


def measured_arm(scale, rng):
    """An arm of `FamilyCycle`, each generation measured by an image and a replicate a prompt.

    V_W of generation 0 is measured on two images of the base model, V_B is the rest.
    """
    strength = STRENGTH * (scale - 1) / (1 + (scale - 1) / SATURATION)
    cycle = FamilyCycle(scale=1 + strength, base=BASE, **TRUTH)
    captions = [str(i) for i in range(PROMPTS)]
    values = rng.normal(size=PROMPTS)
    values = (values - values.mean()) / values.std(ddof=1)
    state, rows = BASE, []
    for number in range(GENERATIONS + 1):
        V_W, V_B = float(state.within), float(state.between)
        draw = lambda V_W=V_W, V_B=V_B: (
            np.sqrt(V_B) * values + np.sqrt(V_W) * rng.normal(size=PROMPTS)
        )[:, None]
        images = draw()
        if number:
            parts = moments.separated(images, captions, draw(), captions)
        else:
            base = np.square(draw() - draw()).mean(axis=0) / 2
            parts = moments.by_base_model(images, base)
        rows.append((images.mean(axis=0), *parts))
        state = cycle.step(state)
    m, V_W, V_B = (np.stack(column) for column in zip(*rows, strict=True))
    unit = V_W[0] + V_B[0]
    return Arm(
        f"scale {scale:g}", 0, "z",
        np.stack([(m - m[0]) / np.sqrt(unit), np.log(V_W / unit), np.log(V_B / unit)], axis=1),
        sampling_variances(V_W, V_B, PROMPTS, PROMPTS, False, None, 2),
        unit, m[0], np.full((GENERATIONS, COUNT), scale), np.square(SIGMA)[:, None], scale,
        0.0, 0.0, np.zeros(1), PROMPTS, PROMPTS, False, True,
    )  # fmt: skip


def test_the_error_of_an_estimated_start_is_counted():
    rng = np.random.default_rng(0)
    read = measured_arm(2.5, rng)
    families = replace(read, separated=False, images=50 * PROMPTS)
    both = design([read, families])
    np.testing.assert_allclose(_errors(both)[0], read.sampling[1:] + read.sampling[:-1])
    np.testing.assert_allclose(_errors(both)[1], read.sampling[1:])
    assert jnp.isinf(both.settings.family_size[0]).all()


@pytest.mark.slow
def test_intervals_hold_the_truth_of_chains_with_one_image_a_prompt():
    """Of 90 % intervals over ten experiments as many hold the truth as a binomial allows."""
    truth = {**TRUTH, "strength": STRENGTH, "saturation": SATURATION}
    held = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        stacked = design([measured_arm(scale, rng) for scale in SCALES])
        draws = draw_posterior(maximize(every_model()[MODEL], stacked, 3, prior=1.0), stacked)
        ends = {name: ends for name, ends in draws.interval().items() if name in truth}
        held += [low <= truth[n] <= high for n, (low, high) in ends.items() if np.isfinite(low)]
    # Parameters of one fit are correlated: ten fits count, not the parameters.
    assert len(held) > 40
    assert abs(np.mean(held) - 0.9) < 4 * np.sqrt(0.09 / (3 * 10))
