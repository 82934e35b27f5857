"""Mutation: variance that each generation adds, from training, sampler and decoder noise.

One file a form. A new form is one file with one final class derived from `Mutation`, and one line
here and in `qtm`.
"""

from qtm.mutation._base import Mutation
from qtm.mutation.gaussian import GaussianMutation
from qtm.mutation.house_of_cards import HouseOfCards
from qtm.mutation.laplace import LaplaceMutation
from qtm.mutation.none import NoMutation
from qtm.mutation.student import StudentMutation

__all__ = [
    "GaussianMutation",
    "HouseOfCards",
    "LaplaceMutation",
    "Mutation",
    "NoMutation",
    "StudentMutation",
]
