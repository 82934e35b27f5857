"""Look-up tables that have a column for each population."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from qtm._core.numerics import real


def by_column(look_up: Callable[[Array, Array], Array], table: Array, z: ArrayLike) -> Array:
    """`look_up(column, points)` for a table `[N, ...]` and points that broadcast to `[..., ...]`.

    The trailing axes of the table are populations of their own: points of one are looked up in its
    column alone.
    """
    traits = table.shape[1:]
    at = jnp.broadcast_to(real(z), np.broadcast_shapes(jnp.shape(z), traits))
    columns = 1 if not traits else int(np.prod(traits))
    found = jax.vmap(look_up, in_axes=1, out_axes=1)(
        table.reshape(len(table), columns), at.reshape(-1, columns)
    )
    return real(found.reshape(at.shape))  # an int32 count would divide to a float32
