"""Digests of traced programs, with their constants.

The text of a jaxpr leaves out the values of its constants and cuts the digits of its literals. Here
a program is read equation by equation, and every constant and literal goes into the digest with all
its bytes, also those of programs within programs (loops, branches, custom derivatives).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from qtm.sweeps.fingerprint import parts_of, values

# Differentiation rules, kept as functions: the forward computation does not use them.
_UNUSED = {
    "jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "symbolic_zeros", "num_consts",
    "out_trees", "name", "inline", "donated_invars", "compiler_options_kvs", "ctx_mesh",
}  # fmt: skip
# Settings of JAX that change the results of a program.
_SETTINGS = ("jax_threefry_partitionable", "jax_default_matmul_precision")


def program(function: Callable[..., Any], *arguments: Any) -> str:
    """Digest the traced program of `function`, with all its constants.

    `arguments` are pytrees of arrays, of shapes (`jax.ShapeDtypeStruct`) and of values that JAX
    cannot trace. Only the values that cannot be traced are part of the digest.
    """
    made, _, _ = eqx.filter_make_jaxpr(function)(*arguments)
    settings = [getattr(jax.config, name) for name in _SETTINGS]
    return values(settings, made)


@parts_of.register(ClosedJaxpr)
def _closed(value: ClosedJaxpr) -> list[Any]:
    return [value.jaxpr, list(value.consts)]


@parts_of.register(Jaxpr)
def _jaxpr(value: Jaxpr) -> list[Any]:
    """Return the equations in order; variables are numbered by first appearance."""
    numbers: dict[Any, int] = {}

    def name(atom: Any) -> Any:
        if isinstance(atom, Literal):
            return ["literal", str(atom.aval), np.asarray(atom.val)]
        return [numbers.setdefault(atom, len(numbers)), str(atom.aval)]

    lines: list[Any] = [[name(atom) for atom in (*value.constvars, *value.invars)]]
    for equation in value.eqns:
        settings = {k: v for k, v in equation.params.items() if k not in _UNUSED}
        sources = [name(atom) for atom in equation.invars]
        results = [name(atom) for atom in equation.outvars]
        lines.append([equation.primitive.name, sources, settings, results])
    return [*lines, [name(atom) for atom in value.outvars]]
