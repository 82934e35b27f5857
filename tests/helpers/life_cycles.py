"""Life cycles whose programs differ in one constant, for tests of sweeps and their stores."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)
W = {"w": [1.0, 2.0]}
LONG = np.arange(3000.0)


class Table(eqx.Module):
    """A look-up table that no trace shows: its values are static."""

    values: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, t):
        return jnp.asarray(self.values)[t]


def stabilizing_to(optimum):
    return lambda q: qtm.LifeCycle(selection=qtm.Stabilizing(optimum=optimum, width2=q["w"]))


def optimum_at_o(point):
    return qtm.LifeCycle(selection=qtm.Stabilizing(optimum=point["o"], width2=5.0))


def loop(table):
    """A constant in a program in a loop."""
    return lambda t: jax.lax.fori_loop(0, 3, lambda i, x: x + table[i] * t, 0.0)


def branch(table):
    return lambda t: jax.lax.cond(t > 1, lambda: jnp.asarray(table)[1], lambda: 0.0)


def rule(table):
    """A constant behind a custom rule of differentiation."""

    @jax.custom_jvp
    def value(t):
        return jnp.asarray(table)[0] * t

    value.defjvp(lambda x, dx: (value(*x), dx[0]))
    return lambda t: value(1.0 * t)


def back(table):
    """A function of Python that the program calls: nothing of it is traced."""
    shape = jax.ShapeDtypeStruct((), jnp.float64)
    return lambda t: jax.pure_callback(
        lambda t: np.float64(table[0]), shape, t, vmap_method="sequential"
    )


def changed(at):
    return np.where(at == LONG, LONG + 1.0, LONG)


OPTIMA = {
    "array": (np.array([0.0, 1.0]), np.array([0.0, 7.0])),
    "in the middle of a long array": (LONG, changed(1500)),
    "the last digit": (0.1, np.nextafter(0.1, 1)),
    "schedule": (lambda t: jnp.array([0.0, 1, 2, 3])[t], lambda t: jnp.arange(4.0)[3 - t]),
    "static table": (Table((0.0, 1.0, 2.0, 3.0)), Table((0.0, 1.0, 2.0, 3.5))),
    "loop": (loop(jnp.arange(3.0)), loop(jnp.arange(3.0)[::-1])),
    "branch": (branch([1.0, 2.0]), branch([1.0, 2.5])),
    "rule": (rule([1.0]), rule([1.5])),
    "callback": (back([1.0]), back([1.5])),
}
PAIRS = {
    kind: (stabilizing_to(first), stabilizing_to(second))
    for kind, (first, second) in OPTIMA.items()
}
