"""Populations at three resolutions, and three with more structure.

`Moments`, mean and variance of Gaussian traits; `Density`, the density of a trait on a grid;
`Individuals`, the trait values themselves. `JointMoments` are the moments of correlated traits,
`Families` those within and between families, `Prompts` the mean vector and covariance of each
prompt.

The three resolutions offer selection `mean`, `variance`, `cdf(z)`, and the fractions strictly
`below(z)` and `above(z)`. The two are kept apart because 1 - cdf(z) loses all digits in the upper
tail, and because individuals, and traits in one cell of a grid, tie.
"""

from qtm.states.density import Density
from qtm.states.families import Families
from qtm.states.individuals import Individuals
from qtm.states.joint import JointMoments
from qtm.states.moments import Moments
from qtm.states.prompts import Prompts

State = Moments | Density | Individuals
"""A population on which any fitness can act."""

Population = State | JointMoments | Families | Prompts
"""A population that can evolve."""

__all__ = [
    "Density",
    "Families",
    "Individuals",
    "JointMoments",
    "Moments",
    "Population",
    "Prompts",
    "State",
]
