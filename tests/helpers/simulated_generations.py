"""One generation of simulated individuals with known parameters, as a chain draws it.

Prompt values N(m, B); images of prompt c N(value, f_c P), with factors f_c of mean 1 that make
variances of prompts unequal. Finetuning: unguided value = base + h (training mean - base) +
N(0, M). Guidance: guided = unguided value + S_c + a deviation narrowed by `narrowing`, of the same
chance as the unguided image to a share of `shared`.
"""

from dataclasses import dataclass, field

import numpy as np

from analysis.selection.draws import Draws, Sample


@dataclass(frozen=True)
class Design:
    prompts: int = 10
    images: int = 50
    replicates: int = 0
    unequal: bool = True


TEN = Design()
DISTINCT = Design(500, 1, 1)


@dataclass(frozen=True)
class Truth:
    """Parameters of k components; matrices are of one prompt's images on average."""

    h: float = 0.9
    P: np.ndarray = field(default_factory=lambda: np.array([[0.5, 0.15], [0.15, 0.3]]))
    B: np.ndarray = field(default_factory=lambda: np.array([[0.4, -0.1], [-0.1, 0.5]]))
    M: np.ndarray = field(default_factory=lambda: np.diag([0.02, 0.01]))
    S: np.ndarray = field(default_factory=lambda: np.array([0.15, -0.05]))
    S_variance: np.ndarray = field(default_factory=lambda: np.diag([0.03, 0.06]))
    narrowing: np.ndarray = field(default_factory=lambda: np.array([0.6, 0.9]))
    shared: float = 0.8


@dataclass(frozen=True)
class Generation:
    """The draws of one generation, with the values that these prompts have."""

    draws: Draws
    unguided: np.ndarray
    differentials: np.ndarray
    factors: np.ndarray
    training: np.ndarray


def simulate(rng: np.random.Generator, design: Design, truth: Truth) -> Generation:
    C, n, more = design.prompts, design.images, design.replicates
    k, P_root = len(truth.S), np.linalg.cholesky(truth.P)
    normal = lambda M, count: rng.multivariate_normal(np.zeros(k), M, size=count)
    factors = rng.gamma(4, 1 / 4, size=C) if design.unequal else np.ones(C)
    prompts = np.concatenate([np.repeat(np.arange(C), n), np.repeat(np.arange(C), more)])
    width = np.sqrt(factors)[prompts][:, None]
    noise = lambda: rng.normal(size=(len(prompts), k)) @ P_root.T * width

    previous = Sample(normal(truth.B, C)[prompts] + noise(), prompts, C * more)
    training = previous.realised()
    unguided = truth.h * training.means + normal(truth.M, C)
    S_c = truth.S + normal(truth.S_variance, C)
    first, second = noise(), noise()
    mixed = truth.shared * first + np.sqrt(1 - truth.shared**2) * second
    drawn = Sample(unguided[prompts] + first, prompts, C * more)
    guided = (unguided + S_c)[prompts] + mixed * truth.narrowing
    draws = Draws(previous, training, drawn, Sample(guided, prompts, C * more))
    return Generation(draws, unguided, S_c, factors, training.means)
