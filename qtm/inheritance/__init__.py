"""Inheritance: what of its training set a finetuned model takes up. One file a form.

A new form is one file with one final class derived from `Inheritance`, and one line here and in
`qtm`.
"""

from qtm.inheritance._base import Inheritance
from qtm.inheritance.clonal import Clonal
from qtm.inheritance.infinitesimal import Infinitesimal
from qtm.inheritance.refit import Refit
from qtm.inheritance.regression import Regression

__all__ = ["Clonal", "Infinitesimal", "Inheritance", "Refit", "Regression"]
