"""One generation of simulated individuals with known parameters, as a chain draws it.

Prompt values N(0, B); images of prompt c N(value, f_c P), with factors f_c of mean 1 that make
variances of prompts unequal. Finetuning: unguided value = h training mean + b base value + N(0, M),
base values correlated with those of the training set. Guidance: guided = unguided value + S_c + a
deviation narrowed by `narrowing`, of the same chance as the unguided image to a share of `shared`.
"""

from dataclasses import dataclass

import numpy as np

from analysis.selection.draws import Draws, Sample


@dataclass(frozen=True)
class Design:
    prompts: int = 10
    images: int = 50
    replicates: int = 0
    unequal: bool = True


# The leading axes on which gradients are measured.
AXES = 8
TEN = Design()
DISTINCT = Design(500, 1, 1)


@dataclass(frozen=True)
class Truth:
    """Parameters of k components; matrices are of one prompt's images on average.

    base: the weight of the base model's prompt means, likeness: their slope on parent values.
    """

    h: float
    P: np.ndarray
    B: np.ndarray
    M: np.ndarray
    S: np.ndarray
    S_variance: np.ndarray
    narrowing: np.ndarray
    shared: float = 0.8
    base: float = 0.0
    likeness: float = 0.6

    @classmethod
    def of_axes(cls, k: int = AXES, **changes) -> "Truth":
        """Return k correlated axes whose variances fall as 1/sqrt(rank)."""
        rank = 1.0 + np.arange(k)
        size = rank**-0.25
        correlation = 0.3 ** np.abs(rank[:, None] - rank)
        unit = np.outer(size, size)
        return cls(
            h=changes.pop("h", 0.9),
            P=0.5 * unit * correlation,
            B=0.45 * unit * (-0.2) ** np.abs(rank[:, None] - rank),
            M=0.02 * np.diag(size**2),
            S=0.15 * np.cos(rank),
            S_variance=0.05 * np.diag(1 / rank),
            narrowing=np.linspace(0.6, 1.0, k),
            **changes,
        )


@dataclass(frozen=True)
class Generation:
    """The draws of one generation, with the values that these prompts have."""

    draws: Draws
    unguided: np.ndarray
    differentials: np.ndarray
    factors: np.ndarray
    training: np.ndarray


def simulate(rng: np.random.Generator, design: Design, truth: Truth) -> Generation:
    """Draw a generation, and its prompts anew."""
    C, n, more = design.prompts, design.images, design.replicates
    k, P_root = len(truth.S), np.linalg.cholesky(truth.P)
    normal = lambda M, count: rng.multivariate_normal(np.zeros(k), M, size=count)
    factors = rng.gamma(4, 1 / 4, size=C) if design.unequal else np.ones(C)
    prompts = np.concatenate([np.repeat(np.arange(C), n), np.repeat(np.arange(C), more)])
    width = np.sqrt(factors)[prompts][:, None]
    noise = lambda: rng.normal(size=(len(prompts), k)) @ P_root.T * width

    parents = normal(truth.B, C)
    previous = Sample(parents[prompts] + noise(), prompts, C * more)
    training = previous.realised()
    base = truth.likeness * parents + normal(truth.B, C)
    unguided = truth.h * training.means + truth.base * base + normal(truth.M, C)
    S_c = truth.S + normal(truth.S_variance, C)
    first, second = noise(), noise()
    mixed = truth.shared * first + np.sqrt(1 - truth.shared**2) * second
    drawn = Sample(unguided[prompts] + first, prompts, C * more)
    guided = (unguided + S_c)[prompts] + mixed * truth.narrowing
    guided = Sample(guided, prompts, C * more)
    base_images = Sample(base[prompts] + noise(), prompts, C * more)
    draws = Draws(previous, training, drawn, guided, base_images)
    return Generation(draws, unguided, S_c, factors, training.means)
