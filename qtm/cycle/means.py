"""The mean of a trait under responses that were measured instead of derived from a selection."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import real, require_double
from qtm.inheritance.regression import Regression
from qtm.states import Moments


def accumulated(
    responses: ArrayLike, heritability: ArrayLike, noise: ArrayLike = 0.0
) -> Float[Array, "T ..."]:
    """Compute the mean of generations 0 to G from the response R_t of each, and regression.

        m_0 = 0,   m_t = R_t + h m_{t-1} + e_t

    The breeder's equation with regression to a base of mean 0 (`Regression`): the model takes up
    the fraction h of the mean of its training set, to which the response of the generation is
    added. A constant response R leads to R (1 - h^t)/(1 - h), and to R/(1 - h) in the end.

        >>> from qtm.cycle.means import accumulated
        >>> accumulated([1.0, 1.0, 1.0], 0.5).tolist()
        [0.0, 1.0, 1.5, 1.75]

    `responses` is R_1 ... R_G `[G, ...]`, in any unit, and the result `[G + 1, ...]` in the same.
    `heritability` h, dimensionless, broadcasts against a response, and `noise`, the random
    e_1 ... e_G of drift, against all of them.

    Raises ValueError if the heritability is not in [0, 1].

    Source: Falconer & Mackay (1996), Introduction to Quantitative Genetics, ch. 10 and 11.
    """
    require_double()
    R, e = jnp.broadcast_arrays(real(responses), real(noise))
    inheritance = Regression(heritability, base_mean=0.0, base_variance=0.0)
    mean = jnp.zeros(jnp.broadcast_shapes(R.shape[1:], inheritance.heritability.shape))
    path = [mean]
    for response, error in zip(R, e, strict=True):
        mean = response + inheritance.moments(Moments(mean, 0.0)).mean + error
        path.append(mean)
    return jnp.stack(path)
