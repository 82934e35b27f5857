"""Equilibria of life cycles."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from qtm._core.numerics import concrete, is_scheduled, require_double
from qtm.cycle.evolution import Cycle, evolve
from qtm.cycle.lifecycle import LifeCycle
from qtm.states import Density, Families, Individuals, JointMoments, Moments, Population

S = TypeVar("S", Moments, JointMoments, Density, Families)

_GENERATIONS, _DENSITY_GENERATIONS = 20_000, 2000
_TOLERANCE = 1e-10


def equilibrium(cycle: Cycle, state: S) -> S:
    """Find the population that a life cycle leaves unchanged and `state` evolves to.

    It is the population at the end of a generation, after mutation and sampling, as `evolve`
    records it; of expectations, because there is no key. In closed form

    - for clonal inheritance, stabilizing selection and Gaussian mutation, without a size:
      m = theta, V = [V_m + sqrt(V_m^2 + 4 V_m V_s)]/2 (Kimura 1965), and for correlated traits
      Omega^1/2 f(Omega^-1/2 M Omega^-1/2) Omega^1/2, f(b) = (b + sqrt(b^2 + 4 b))/2 (Lande 1979);
    - for infinitesimal inheritance, stabilizing selection and no mutation (Bulmer 1971): at birth
      V_A = [V_a - V_s + sqrt((V_a - V_s)^2 + 8 V_a V_s)]/4 with V_s = omega^2 + V_E, and after
      selection, as returned, V_A V_s/(V_A + V_s).

    Otherwise up to 20,000 generations lead near it, and Newton's method (optimistix) on all
    moments at once reaches it; a density has 2000 generations and no Newton step. Differentiable in
    the cycle, by the implicit function theorem. Entries are solved together.

    Raises ValueError if none exists or is reached: a mean that moves for ever, a variance that
    grows without bound, a cycle that has not converged to a relative 1e-10; inside `jit` the result
    is then nan. Also if a parameter, or the training set, depends on the generation, and for
    individuals, which drift for ever.
    """
    require_double()
    if isinstance(state, Individuals):
        raise ValueError("individuals have no equilibrium, they drift; compute that of Moments.")
    grows = isinstance(cycle, LifeCycle) and cycle.inheritance.depends_on_generation
    if is_scheduled(cycle) or grows:
        raise ValueError("there is no equilibrium where the cycle depends on the generation.")
    population = _closed(cycle, state)
    if population is None:
        population, change = _iterated(cycle, state)
    else:
        change = jnp.zeros(())
    good = jnp.all(change <= _TOLERANCE) & jnp.all(jnp.isfinite(ravel_pytree(population)[0]))
    if concrete(good) and not bool(good):
        _explain(cycle, state)
    return jax.tree.map(lambda x: jnp.where(good, x, jnp.nan), population)


def _closed(cycle: Cycle, state: S) -> S | None:
    if not isinstance(cycle, LifeCycle) or cycle.size is not None:
        return None
    return state.balance(cycle.inheritance, cycle.selection, cycle.mutation)


@eqx.filter_jit
def _iterated(cycle: Cycle, state: S) -> tuple[S, Array]:
    """Return the population reached, and by how much a generation still changes it."""
    state = cycle.step(state)  # broadcasts to the final shapes
    start, unravel = ravel_pytree(state)
    arrays, rest = eqx.partition(cycle, eqx.is_array)
    scale = lax.stop_gradient(jnp.sqrt(jnp.max(state.variance)) + 1e-300)

    def change(x: Array, y: Array) -> Array:
        """Compute the change: of the mean in standard deviations, of variances relatively."""
        before, after = unravel(x), unravel(y)
        moved = jnp.max(jnp.abs(after.mean - before.mean)) / scale
        spread = jnp.abs(after.variance - before.variance) / (scale**2 + after.variance)
        return jnp.maximum(moved, jnp.max(spread))

    def produce(x: Array, arrays: Cycle) -> Array:
        return ravel_pytree(eqx.combine(arrays, rest).step(unravel(x)))[0]

    def is_changing(carry: tuple[Array, Array, Array]) -> Array:
        t, before, x = carry
        return (t < most) & (change(before, x) > 1e-14)

    held = jax.tree.map(lax.stop_gradient, arrays)
    most = _DENSITY_GENERATIONS if isinstance(state, Density) else _GENERATIONS
    first = lax.stop_gradient(start)
    _, _, near = lax.while_loop(
        is_changing,
        lambda carry: (carry[0] + 1, carry[2], produce(carry[2], held)),
        (jnp.asarray(0), first, produce(first, held)),
    )
    by_iteration = change(near, produce(near, held))
    if isinstance(state, Density):
        return unravel(near), by_iteration

    # Directions without change, such as a mean under no selection, are left alone.
    linear = lx.AutoLinearSolver(well_posed=False)
    solution = optx.fixed_point(
        produce,
        optx.Newton(rtol=1e-13, atol=1e-14, linear_solver=linear),
        near,
        args=arrays,
        max_steps=50,
        throw=False,
        adjoint=optx.ImplicitAdjoint(linear_solver=linear),
    )
    exact = ravel_pytree(_nonnegative(unravel(solution.value)))[0]
    by_newton = change(exact, produce(exact, held))
    # Newton may find a fixed point that is not approached, or one of many, such as a population
    # without variance, whose mean may be anything.
    approached = jnp.abs(near - exact) <= 0.99999 * jnp.abs(first - exact) + 1e-9 * scale
    slope = jax.jacfwd(produce)(exact, held) - jnp.eye(len(exact))
    single = jnp.min(jnp.linalg.svd(slope, compute_uv=False)) > 1e-9
    better = (by_newton <= _TOLERANCE) & single & jnp.all(approached)
    return unravel(jnp.where(better, exact, near)), jnp.where(better, by_newton, by_iteration)


def _nonnegative(state: S) -> S:
    if isinstance(state, Moments):
        return Moments(state.mean, jnp.maximum(state.variance, 0.0))
    if isinstance(state, Families):
        parts = (jnp.maximum(V, 0.0) for V in (state.within, state.between))
        return Families(state.mean, *parts)
    return state


def _explain(cycle: Cycle, start: Population) -> None:
    """Raise the ValueError of the parameter at fault, or one with the moments that still move."""
    most = _DENSITY_GENERATIONS if isinstance(start, Density) else _GENERATIONS
    path = evolve(cycle, start, most)
    m, V = path.mean, path.variance
    raise ValueError(
        f"there is no equilibrium that {most} generations and Newton's method reach: the "
        f"last of them moves the mean from {m[-2]} to {m[-1]} and the variance from {V[-2]} to "
        f"{V[-1]}."
    )
