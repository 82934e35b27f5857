"""Look-up tables that have a column for each population."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from qtm._core.numerics import real


def by_column(look_up: Callable[[Array, Array], Array], table: Array, z: ArrayLike) -> Array:
    """Apply `look_up(column, points)` to a table `[N, ...]` and points `z` `[..., ...]`.

    The trailing axes of the table are separate populations, and points are looked up in the column
    of theirs. `z` broadcasts against them.
    """
    traits = table.shape[1:]
    points = jnp.broadcast_to(real(z), np.broadcast_shapes(jnp.shape(z), traits))
    columns = 1 if not traits else int(np.prod(traits))
    values = jax.vmap(look_up, in_axes=1, out_axes=1)(
        table.reshape(len(table), columns), points.reshape(-1, columns)
    )
    return real(values.reshape(points.shape))  # an int32 count would divide to a float32
