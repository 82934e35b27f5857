"""Strong guidance in few steps splits the middle one of three components in two.

Three prompts lie on a line, at equal distances. Guidance pushes images of the middle one away from
both neighbours: the exact flow contracts them to their centre, the more the stronger. A sampler of
few steps overshoots instead, from one side of the centre to the other, and beyond a scale that its
steps allow ends in two clusters with nothing between. Both are computed with exact scores; of the
source the sign and the shape are shown.

    >>> import numpy as np
    >>> from qtm import results
    >>> in_few_steps = results.result("component_splitting").middle(scale=40.0, steps=20)
    >>> bool(np.mean(abs(in_few_steps) < 0.5) < 0.1)
    True
"""

import jax.random as jr
import numpy as np
from jaxtyping import Float

from qtm import mixture
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "Wu, Chen, Li, Wang & Wei, arXiv 2403.01639"

_DISTANCE, _VARIANCE, _IMAGES = 3.0, 1.0, 2_000


def middle(scale: float, steps: int) -> Float[np.ndarray, " n"]:
    """Draw guided images of the middle component by DDIM, with exact scores."""
    means = np.array([[-_DISTANCE], [0.0], [_DISTANCE]])
    three = mixture.Mixture.of(np.ones(3), means, np.full((3, 1, 1), _VARIANCE))
    keys = mixture.keys_of(jr.key(0), 0, _IMAGES)
    sampler = mixture.Sampler(mixture.NoiseLevels.preserving(steps), scale)
    return np.asarray(mixture.sample(three, three, np.ones(_IMAGES, int), keys, sampler))[:, 0]


def compute() -> Reproduction:
    """Draw at three scales in 20 steps, and at the highest in 1000."""
    drawn = {scale: middle(scale, 20) for scale in (1.0, 10.0, 40.0)}
    fine = middle(40.0, 1000)
    inside = lambda z: float(np.mean(np.abs(z) < 0.5))
    of_normal = 0.38292  # of N(0, 1) within 0.5
    split = drawn[40.0]
    bins = np.linspace(-2.5, 2.5, 41)
    centres = (bins[1:] + bins[:-1]) / 2
    counts = {scale: np.histogram(z, bins)[0] / len(z) for scale, z in drawn.items()}
    return Reproduction(
        (
            Check("within 0.5 of the centre, w = 1, 20 steps", inside(drawn[1.0]), of_normal,
                  standard_error=float(np.sqrt(of_normal * (1 - of_normal) / _IMAGES)),
                  accuracy=0.03),
            Check("the same, w = 10, 20 steps", inside(drawn[10.0]), above=0.99),
            Check("the same, w = 40, 20 steps", inside(split), below=0.1,
                  standard_error=float(np.sqrt(0.1 / _IMAGES))),
            Check("of two clusters, the part on the right", float(np.mean(split > 0)),
                  above=0.4, below=0.6, standard_error=float(0.5 / np.sqrt(_IMAGES))),
            Check("within 0.5 of the centre, w = 40, 1000 steps", inside(fine), above=0.99),
        ),
        Panel(
            "three components",
            "trait",
            "fraction of images",
            tuple(
                Series(f"w = {scale:g}", curve(centres, fractions))
                for scale, fractions in counts.items()
            ),
        ),
    )  # fmt: skip
