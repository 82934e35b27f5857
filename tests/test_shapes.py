"""Arrays that do not fit their annotation are refused while the tests run."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError, jaxtyped

from analysis.arms.levels import Visited
from analysis.trait_series import walks
from qtm.cycle.evolution import Trajectory
from tests.helpers import shapes


def test_a_wrong_rank_is_refused():
    with pytest.raises(
        TypeCheckError, match=r"parameters of analysis\.trait_series\.walks\.expected"
    ):
        walks.expected("stasis", {"theta": 0.0}, np.zeros((3, 2)))


def test_a_wrong_dtype_is_refused():
    with pytest.raises(
        TypeCheckError, match=r"parameters of analysis\.trait_series\.walks\.expected"
    ):
        walks.expected("stasis", {"theta": 0.0}, np.arange(3))


def test_fields_of_one_object_share_their_axes():
    Trajectory(mean=jnp.zeros(3), variance=jnp.zeros(3), final=None)
    with pytest.raises(TypeCheckError, match="Trajectory"):
        Trajectory(mean=jnp.zeros(3), variance=jnp.zeros((4, 2)), final=None)
    with pytest.raises(TypeCheckError, match="Visited"):
        Visited(np.zeros((2, 2)))


@jaxtyped(typechecker=shapes.checked)
def outer(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"] | None = None, name: int = 0
) -> tuple[Float[np.ndarray, "n m"], list[Float[np.ndarray, " n"]]]:
    y = x if y is None else y
    table = np.outer(x, y)
    return (table.T if name == 1 else table), [x if name != 2 else y]


def test_the_checker_looks_into_unions_tuples_and_lists_and_at_nothing_else():
    x, y = np.zeros(2), np.zeros(3)
    assert outer(x)[0].shape == (2, 2)
    assert outer(x, y, name="no integer")[0].shape == (2, 3)
    for name in (1, 2):
        with pytest.raises(TypeCheckError, match="return value"):
            outer(x, y, name)
    with pytest.raises(TypeCheckError, match="parameters"):
        outer(x, "no array")
