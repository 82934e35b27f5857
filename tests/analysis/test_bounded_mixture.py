"""The bounded mixture of a run's images."""

import json

import numpy as np
import pytest

from analysis.bounded_mixture import bounded_mixture
from empirical.errors import UserError
from empirical.runs.record import Run
from qtm.mixture import NoiseLevels

LEVELS = NoiseLevels.preserving(steps=40)


def stored(folder, captions, seed=0):
    """Make a run with nothing but the latents of generation 0."""
    first = folder / "gen_000"
    (first / "features").mkdir(parents=True)
    (first / "images").mkdir()
    rng = np.random.default_rng(seed)
    place = {c: rng.normal(size=6) for c in sorted(set(captions))}
    latents = np.stack([place[c] for c in captions]) + 0.7 * rng.normal(size=(len(captions), 6))
    np.save(first / "features" / "latent.npy", latents.astype(np.float32))
    rows = [json.dumps({"text": c}) for c in captions]
    (first / "images" / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return Run(folder), latents


@pytest.fixture
def run(tmp_path):
    return stored(tmp_path / "run", ["one", "two", "three"] * 40)


def test_generation_0_is_what_was_measured(run):
    run, latents = run
    table = bounded_mixture(run, 1.0, generations=0, levels=LEVELS)
    assert list(table.columns) == ["generation", "within", "between"]
    families = [latents[c::3] for c in range(3)]
    within = np.mean([z.var(axis=0, ddof=1) for z in families])
    between = np.var([z.mean(axis=0) for z in families], axis=0, ddof=1).mean()
    np.testing.assert_allclose(table.iloc[0], [0, within, between], rtol=1e-6)


def test_without_heritability_every_generation_is_drawn_from_the_base(run):
    """Generations are then independent and alike, whatever bound or leak the training has."""
    table = bounded_mixture(run[0], 1.0, generations=5, heritability=0.0, levels=LEVELS)
    later = table["within"][1:]
    # A mean over 6 components with 117 degrees of freedom each, in a sampler of finite steps.
    assert later.std() < 4 * later.mean() * np.sqrt(2 / (6 * 117))
    assert abs(later.mean() / table["within"][0] - 1) < 0.15


def test_guidance_drives_families_apart_and_leak_and_bound_hold_them(run):
    def after(**options):
        return bounded_mixture(run[0], 4.0, generations=2, levels=LEVELS, **options)[
            "between"
        ].iloc[-1]

    free = after()
    assert free > 1.5 * after(leak=0.5)
    assert free > 1.2 * after(bound=lambda z: np.clip(z, -1.5, 1.5))
    neutral = bounded_mixture(run[0], 1.0, generations=2, levels=LEVELS)
    assert free > 1.2 * neutral["between"].max()


def test_what_cannot_be_predicted_says_so(run, tmp_path):
    with pytest.raises(UserError, match="diverges: generation"):
        bounded_mixture(run[0], 90.0, uptake=0.0, generations=60, levels=LEVELS)
    with pytest.raises(UserError, match="one image of the prompt 'odd'"):
        bounded_mixture(stored(tmp_path / "other", ["a", "a", "odd"])[0], 1.0, generations=1)
