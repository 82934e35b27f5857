"""matrices.nc: P and B of the leading axes, their directions, and how generations compare."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analysis.selection import matrices
from analysis.selection.draws import Sample
from analysis.selection.read import Measured

DRAWS = ("guided", "unguided")
MATRICES = ("within", "between")


def matrix_table(runs: Sequence[Measured], trait: str) -> xr.Dataset:
    """Return the matrices of runs, over run, generation and draw; nan where they are unknown.

    `covariance` [run, generation, draw, matrix, axis, other_axis] in squared feature units: matrix
    "within" is P, "between" is B without its sampling part; draw "guided" of generation 0 are the
    real images, "unguided" those of the base model. So P before selection is that of unguided, P*
    after it that of guided images. Axes are those of the trait: of `latent_pc` the leading
    principal axes of the latents of generation 0. `principal_variance` [run, generation, draw,
    matrix, direction], falling, and `principal_axis` [run, generation, draw, matrix, axis,
    direction], of length 1: eigenvalues and eigenvectors of each matrix. `dimension`: effective
    dimension. `relative_eigenvalue` [run, generation, direction]: of P^-1 P*, rising, and
    `relative_axis` [run, generation, axis, direction]: its eigenvectors v, with v' P v = 1. Signs
    of directions are arbitrary; here the largest entry is positive. Against the first generation of
    the draw in which a matrix is known (`reference`): `skewers`, `angle` (degrees) and
    `common_subspace`. See `analysis.selection.matrices`.
    """
    return xr.concat(
        [_of_run(measured, trait) for measured in runs],
        dim=xr.DataArray([measured.run.name for measured in runs], dims="run", name="run"),
        join="outer",
    )


def _of_run(measured: Measured, trait: str) -> xr.Dataset:
    numbers = [0, *measured.numbers]
    k = measured.guided(0, trait).values.shape[1]
    shape = (len(numbers), len(DRAWS), len(MATRICES))
    covariance = np.full((*shape, k, k), np.nan)
    eigenvalues = np.full((len(numbers), k), np.nan)
    relative_axes = np.full((len(numbers), k, k), np.nan)
    variances, axes = np.full((*shape, k), np.nan), np.full((*shape, k, k), np.nan)
    for t, number in enumerate(numbers):
        samples = (measured.guided(number, trait), measured.unguided(number, trait))
        for d, sample in enumerate(samples):
            if sample is not None:
                covariance[t, d] = _matrices(sample)
        if number:
            before, after = covariance[t, 1, 0], covariance[t, 0, 0]
            eigenvalues[t] = matrices.relative_eigenvalues(before, after)
            relative_axes[t] = matrices.relative_axes(before, after)
    for place in np.ndindex(shape):
        variances[place], axes[place] = matrices.principal_axes(covariance[place])
    compared: dict[str, Any] = {
        name: np.full(shape, np.nan) for name in ("dimension", "skewers", "angle", "subspace")
    }
    reference = np.full(shape[1:], np.nan)
    for d in range(len(DRAWS)):
        for m in range(len(MATRICES)):
            known = [t for t in range(len(numbers)) if np.isfinite(covariance[t, d, m]).all()]
            for t in known:
                first, M = covariance[known[0], d, m], covariance[t, d, m]
                compared["dimension"][t, d, m] = matrices.effective_dimension(M)
                compared["skewers"][t, d, m] = matrices.random_skewers(first, M)
                compared["angle"][t, d, m] = matrices.angle(first, M)
                compared["subspace"][t, d, m] = matrices.common_subspace(first, M)
            if known:
                reference[d, m] = numbers[known[0]]
    where = ["generation", "draw", "matrix"]
    return xr.Dataset(
        {
            "covariance": ([*where, "axis", "other_axis"], covariance),
            "principal_variance": ([*where, "direction"], variances),
            "principal_axis": ([*where, "axis", "direction"], axes),
            "relative_eigenvalue": (["generation", "direction"], eigenvalues),
            "relative_axis": (["generation", "axis", "direction"], relative_axes),
            "dimension": (where, compared["dimension"]),
            "skewers": (where, compared["skewers"]),
            "angle": (where, compared["angle"], {"units": "degrees"}),
            "common_subspace": (where, compared["subspace"]),
            "reference": (where[1:], reference),
        },
        coords={
            "generation": numbers,
            "draw": list(DRAWS),
            "matrix": list(MATRICES),
            "axis": np.arange(k),
            "other_axis": np.arange(k),
            "direction": np.arange(k),
        },
        attrs={"trait": trait},
    )


def _matrices(sample: Sample) -> np.ndarray:
    return np.stack([sample.covariance, matrices.between_covariance(sample)])
