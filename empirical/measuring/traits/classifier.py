"""The features of the model's classifier, where it has one."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"] | None:
    """Return the classifier's features [n, d], or None without a classifier."""
    return None if view.classified is None else view.classified[0]
