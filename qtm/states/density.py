"""The density of a trait on a grid, without an assumed shape."""

from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    concrete,
    real,
    require_double,
    require_integer,
    require_nonnegative,
    safe_sqrt,
    valid_where,
)
from qtm.states._columns import by_column
from qtm.states._evolving import Draws, Evolving, require_trait_axes
from qtm.states.moments import Moments

EDGE = 1e-6
"""The fraction of a population that may lie at the edges of its grid."""


class Density(Evolving):
    """Infinite populations by their density p(z) on a fixed, even grid.

    `grid` has shape `[G]` (feature units), `density` `[G, ...]` (per feature unit), scaled here so
    that sum p dz = 1. Trailing axes are separate populations. Sums over the grid are accurate
    to rounding for densities that are smooth on its scale (a standard deviation of at least 1.2
    steps), and of second order in the step where selection cuts.

    A life cycle keeps the grid. Mass that would leave it is lost and the rest scaled up, so a
    population of which more than a millionth lies at an edge is rejected, as is one narrower than
    the step: ValueError outside `jit`, nan inside, where `evolve` detects it.

    Raises ValueError if the grid has less than 8 points, is not even or not increasing, if the
    density has another length, is negative, or is 0 everywhere.
    """

    grid: Float[Array, "G"]
    density: Float[Array, "G ..."]

    def __init__(self, grid: ArrayLike, density: ArrayLike):
        z, p = real(grid), real(density)
        if z.ndim != 1 or len(z) < 8:
            raise ValueError(f"grid must have shape [G] with G at least 8, got {z.shape}.")
        if p.ndim < 1 or len(p) != len(z):
            raise ValueError(
                f"density must have shape [G, ...] with G = {len(z)} as the grid, got {p.shape}."
            )
        if concrete(z):
            step = np.diff(np.asarray(z))
            if not (step.min() > 0 and np.ptp(step) < 1e-6 * step.mean()):
                raise ValueError(
                    f"grid must increase in even steps, got steps from {step.min():g} to "
                    f"{step.max():g}."
                )
        require_nonnegative("density", p)
        if concrete(p) and not np.all(np.asarray(p).sum(axis=0) > 0):
            raise ValueError("density must be greater than 0 somewhere, got 0 on the whole grid.")
        self.grid = z
        self.density = p / (jnp.sum(p, axis=0) * ((z[-1] - z[0]) / (len(z) - 1)))

    @classmethod
    def normal(
        cls,
        mean: ArrayLike = 0.0,
        variance: ArrayLike = 1.0,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
        points: int = 2049,
    ) -> "Density":
        """Return N(mean, variance) on `points` even nodes from `low` to `high`.

        The grid covers 12 standard deviations on both sides of every entry by default. It does not
        move: leave room for where the population will go.

        Raises ValueError if a variance is not greater than 0 or `points` below 8.
        """
        moments, G = Moments(mean, variance), require_integer("points", points, least=8)
        sd = safe_sqrt(moments.variance)
        left = jnp.min(moments.mean - 12 * sd) if low is None else real(low)
        right = jnp.max(moments.mean + 12 * sd) if high is None else real(high)
        grid = jnp.linspace(left, right, G)
        x = moments.standardize(grid.reshape(-1, *[1] * moments.mean.ndim))
        return resolved(cls(grid, jnp.exp(-jnp.square(x) / 2)))

    def after(self, part: Any, *draws: Any) -> Any:
        return part.density(self, *draws)

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> Draws:
        if size is not None:
            raise ValueError(f"size must be None for a Density, which is infinite, got {size}.")
        return (), (), (), ()

    def require_axes(self, axes_after: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        require_trait_axes("density", "G", self.density, axes_after)

    @property
    def step(self) -> Float[Array, ""]:
        """The distance of neighbouring nodes (feature units)."""
        require_double()
        return (self.grid[-1] - self.grid[0]) / (len(self.grid) - 1)

    @property
    def nodes(self) -> Float[Array, "G ..."]:
        """The grid with an axis of length 1 for each trailing axis of the density."""
        return real(self.grid).reshape(-1, *[1] * (self.density.ndim - 1))

    @property
    def mean(self) -> Float[Array, "..."]:
        """Mean of the density, a sum over the nodes of the grid."""
        return jnp.sum(self.nodes * self.density, axis=0) * self.step

    @property
    def variance(self) -> Float[Array, "..."]:
        """Variance of the density, a sum over the nodes of the grid."""
        return jnp.sum(jnp.square(self.nodes - self.mean) * self.density, axis=0) * self.step

    def cdf(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population at or below z, of fourth order in the step."""
        p, dz = self.density, self.step
        # Euler-Maclaurin: the trapezoid rule's error is dz^2/12 times the slope at the end.
        slope = cast(Array, jnp.gradient(p, axis=0))
        C = (jnp.cumsum(p, axis=0) - p / 2 - slope / 12) * dz

        def hermite(table: Array, points: Array) -> Array:
            C, p = jnp.split(table, 2)
            x = jnp.clip((points - self.grid[0]) / dz, 0, len(self.grid) - 1)
            i = jnp.clip(jnp.floor(x).astype(int), 0, len(self.grid) - 2)
            u = x - i
            rise = C[i + 1] - C[i]
            bend = (p[i] * dz - rise) * (1 - u) - (p[i + 1] * dz - rise) * u
            return C[i] + u * rise + u * (1 - u) * bend

        return jnp.clip(by_column(hermite, jnp.concatenate([C, p]), z), 0, 1)

    def below(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population in cells below that of z; a cell ties."""
        fraction = self.density * self.step
        return self._at_cell(jnp.cumsum(fraction, axis=0) - fraction, z)

    def above(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population in cells above that of z."""
        fraction = self.density * self.step
        return self._at_cell(lax.cumsum(fraction, reverse=True) - fraction, z)

    def tied(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population in the cell of z."""
        return self._at_cell(self.density * self.step, z)

    def _at_cell(self, table: Array, z: ArrayLike) -> Array:
        def cell(column: Array, points: Array) -> Array:
            i = jnp.round((points - self.grid[0]) / self.step).astype(int)
            return column[jnp.clip(i, 0, len(self.grid) - 1)]

        return by_column(cell, jnp.maximum(table, 0), z)


def resolved(state: Density) -> Density:
    """Return `state` if its grid holds and resolves it; else ValueError, and nan inside `jit`."""
    p = state.density
    at_edge = jnp.maximum(p[0], p[-1]) * (state.grid[-1] - state.grid[0])
    inside = valid_where(
        "fraction of the density at the edge of its grid",
        at_edge,
        f"below {EDGE:g}",
        lambda fraction: fraction < EDGE,
    )
    steps = jnp.sqrt(lax.stop_gradient(state.variance)) / state.step
    is_resolved = valid_where(
        "standard deviation of the density in steps of its grid",
        steps,
        "at least 1",
        lambda sd: sd >= 1,
    )
    return with_density(state, jnp.where(inside & is_resolved, p, jnp.nan))


def with_density(state: Density, density: Float[Array, "G ..."]) -> Density:
    """Return `state` with another density, scaled to the sum 1."""
    return Density(state.grid, density)
