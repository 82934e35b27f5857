"""How far two float32 results may lie apart that are the same number, computed in another order.

Other vector units, thread counts and batches add in another order and fuse other operations. A
tolerance is the size of the values, times the roundings they go through, times EPS; where a
computation enlarges them, the enlargement is measured (`of_network`, `of_perturbation`).
"""

import copy

import numpy as np

# The spacing of float32 at 1: one operation, rounded to within half of it in either computation.
EPS = 2.0**-23
# Ratio of the error allowed on any processor to that measured on one.
ROOM = 8


def float32_error(scale=1.0, operations=1):
    """The largest difference after `operations` in a row on values up to `scale`."""
    return EPS * operations * scale


def of_sum(terms, scale=1.0):
    """The largest difference of a sum of terms up to `scale`, added in any order.

    Rounding errors of partial sums are of random signs: terms^(1/2) of them, each of a partial sum
    that has itself grown as terms^(1/2) where signs are random, and as `terms` where they are not.
    """
    return float32_error(scale * terms, np.sqrt(terms))


def of_network(network, *inputs, output=lambda result: result):
    """The difference allowed between two evaluations of a torch module: ROOM times its error.

    The error is that of this float32 evaluation against one in float64.
    """
    import torch

    exact = copy.deepcopy(network).double()
    wide = [z.double() if torch.is_tensor(z) and z.is_floating_point() else z for z in inputs]
    with torch.no_grad():
        error = output(network(*inputs)).double() - output(exact(*wide))
    return ROOM * error.abs().max().item()


def of_perturbation(compute, draws=5):
    """The difference allowed between two results of an ill-conditioned computation.

    `compute(disturb)` passes what it rounds through `disturb`, which moves each number at random by
    up to two roundings of the largest of them; allowed is twice the largest change that this makes
    in some draws.
    """
    import torch

    plain = np.asarray(compute(lambda z: z))
    largest = 0.0
    for seed in range(draws):
        key = torch.Generator().manual_seed(seed)

        def disturb(z, key=key):
            sign = 2 * torch.rand(z.shape, generator=key, dtype=z.dtype) - 1
            return z + float32_error(z.abs().max(), 2) * sign

        largest = max(largest, np.abs(np.asarray(compute(disturb)) - plain).max())
    return 2 * largest
