"""The mixture in the loop of the chain itself: images in, images out."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from empirical import recipe
from empirical.data.real_images import Population
from qtm.mixture import Learning, Mixture, MixtureGenerator, NoiseLevels, Sampler

chain = pytest.importorskip("empirical.chain.loop", reason="a chain needs torch")

CAPTIONS = ("a cat", "a dog")
D = 16
LEVELS = NoiseLevels.exploding(1e-3, 300.0, 100)


def generator(learning=None, scale=1.0, **options):
    """Two families of 4 x 4 pixels, with unit covariance."""
    means = np.array([[-0.5], [0.5]]) * np.ones((2, D))
    base = Mixture.of(np.ones(2), means, np.stack([np.eye(D)] * 2))
    return MixtureGenerator(base, CAPTIONS, (4, 4, 1), Sampler(LEVELS, scale), learning, **options)


def nothing(count):
    pass


def kept():
    """The share of a unit variance that the sampler's finite steps keep."""
    s, g = np.asarray(LEVELS.levels), float(LEVELS.start)
    for now, then in pairwise(s):
        g *= (1 + now * then) / (1 + now**2)
    return g**2


def within(generation):
    z, captions = generation.trait("latent").astype(float), np.array(generation.captions)
    return np.mean([z[captions == c].var(axis=0, ddof=1) for c in CAPTIONS])


def test_unguided_images_are_those_of_scale_one():
    guided, plain = generator(scale=3.0), generator(scale=1.0)
    captions, seeds = CAPTIONS * 4, range(8)
    unguided = guided.sample_unguided(captions, seeds, nothing)
    np.testing.assert_array_equal(unguided, plain.sample(captions, seeds, nothing))
    assert (unguided != guided.sample(captions, seeds, nothing)).any()


@pytest.mark.slow
def test_the_chains_loop_on_gaussians_is_the_theory_of_refitting(tmp_path):
    """E[V_t] = V_0 (1 - 1/n)^t, n images a family, refitted by maximum likelihood.

    Each generation the sampler's finite steps keep the share g, and rounding to whole pixel values
    adds 1/(12 resolution^2): V_t = g (1 - 1/n) V_(t-1) + rounding.
    """
    n, G, seeds = 10, 3, 10
    V = np.empty((seeds, G + 1))
    for seed in range(seeds):
        toy = generator(Learning(ddof=0))
        captions = CAPTIONS * n
        first = Population(toy.sample(captions, range(1000 * seed, 1000 * seed + 2 * n), nothing),
                           captions)  # fmt: skip
        tables = {"generations": G, "seed": seed, "data": {"size": 2 * n}}
        run = chain.loop(toy, first, None, recipe.parse(tables), tmp_path / str(seed))
        V[seed] = [within(generation) for generation in run.generations()]
        assert (run.generation(G).folder / "mixture.npz").is_file()
    rounding = 1 / (12 * toy.resolution**2)
    theory = [kept() + rounding]
    for _ in range(G):
        theory.append(kept() * (1 - 1 / n) * theory[-1] + rounding)
    error = V.std(axis=0, ddof=1) / np.sqrt(seeds)
    assert np.all(np.abs(V.mean(axis=0) - theory) < 4 * error)
    assert theory[0] - theory[-1] > 4 * error[-1]  # no change would have failed


def test_images_hold_traits_up_to_rounding():
    toy = generator()
    seeds = [3, 2**62 + 1, 5]
    captions = ["a dog", "a cat", "a dog"]
    images = toy.sample(captions, seeds, nothing)
    assert images.shape == (3, 4, 4, 1)
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(3, -1), axis=0)) == 3
    np.testing.assert_array_equal(toy.sample(captions[1:], seeds[1:], nothing), images[1:])
    again = MixtureGenerator(toy.base, CAPTIONS, (4, 4, 1), toy.sampler, resolution=12.0)
    step = 0.5 / 12 + 0.5 / 20
    difference = again.encode(again.sample(captions, seeds, nothing)) - toy.encode(images)
    assert np.abs(difference).max() <= step + 1e-12


def test_fit_follows_the_images_and_forget_leads_back(tmp_path):
    toy, counts = generator(), []
    base = toy.sample(CAPTIONS, [0, 1], nothing)
    bright = np.random.default_rng(0).integers(200, 220, size=(8, 4, 4, 1)).astype(np.uint8)
    population = SimpleNamespace(images=bright, captions=CAPTIONS * 4)
    toy.fit(population, 1, tmp_path / "gen_001", counts.append)
    drawn = toy.sample(CAPTIONS, [0, 1], counts.append)
    assert drawn.min() > 180
    assert counts == [toy.costs[0], 2 * toy.costs[1]]
    toy.unload()
    np.testing.assert_array_equal(toy.sample(CAPTIONS, [0, 1], nothing), base)
    assert toy.classifier is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: generator(resolution=0.0), "resolution must be greater than 0, got 0"),
        (
            lambda: generator().sample(["a cow"], [0], nothing),
            "among 'a cat', 'a dog', got 'a cow'",
        ),
        (lambda: MixtureGenerator(generator().base, ("a", "a"), (4, 4, 1), None), "2 different"),
        (lambda: MixtureGenerator(generator().base, CAPTIONS, (3, 4, 1), None), "hold 16 values"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
