"""Digests of all that the numbers of a sweep depend on: traced programs with their constants.

The text of a jaxpr leaves out the values of its constants and cuts the digits of its literals. Here
a program is read equation by equation, and every constant and literal goes into the digest with all
its bytes, also those of programs within programs (loops, branches, custom derivatives). What
differs between processes, an address of a function or the order of a set, does not.
"""

import hashlib
import types
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial, singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# Rules of differentiation, kept as functions: what a program computes forwards does not use them.
_UNUSED = {
    "jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "symbolic_zeros", "num_consts",
    "out_trees", "name", "inline", "donated_invars", "compiler_options_kvs", "ctx_mesh",
}  # fmt: skip
# Settings of JAX under which the same program gives other numbers.
_SETTINGS = ("jax_threefry_partitionable", "jax_default_matmul_precision")


def program(function: Callable[..., Any], *arguments: Any) -> str:
    """Digest what JAX traces of `function`, with every constant that it holds.

    `arguments` are pytrees of arrays, of shapes (`jax.ShapeDtypeStruct`) and of what JAX cannot
    trace. Their values are not part of the digest, but for those that cannot be traced.
    """
    made, _, _ = eqx.filter_make_jaxpr(function)(*arguments)
    settings = [getattr(jax.config, name) for name in _SETTINGS]
    return values(settings, made)


def values(*parts: Any) -> str:
    """Digest arrays, numbers, texts, containers of them and programs: 16 hexadecimal digits."""
    return _hash(*(_bytes(part, ()) for part in parts)).hex()


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _bytes(value: Any, within: tuple[int, ...]) -> bytes:
    """Digest any value; `within` are the identities of the objects that hold it."""
    if id(value) in within:
        return b"itself"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".encode()
    parts = _parts(value)
    if isinstance(parts, bytes):
        return _hash(kind, parts)
    return _hash(kind, *(_bytes(part, (*within, id(value))) for part in parts))


@singledispatch
def _parts(value: Any) -> Any:
    """Return the bytes of a value, or a list of the values that it is made of."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, type | types.ModuleType):
        return f"{getattr(value, '__module__', '')}.{value.__name__}".encode()
    if isinstance(value, np.dtype):
        return str(value).encode()
    if callable(value) and hasattr(value, "__wrapped__"):
        return [value.__wrapped__]
    home = type(value).__module__.partition(".")[0]
    if home not in ("jax", "jaxlib") and (state := _state(value)):
        return state
    held = getattr(value, "__dict__", None)
    if held:
        return [held]
    text = repr(value)
    # An object that says nothing but its address has nothing else that could be compared.
    return b"" if " at 0x" in text else text.encode()


def _state(value: Any) -> Any:
    """Return what a copy of an object would be made of, also where it has slots, or is a table of
    pandas; None where it cannot be copied."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # whatever an object raises that has no copies
        return None
    if isinstance(made, str):
        return made.encode()
    # A maker, its arguments, the state, and iterators over items.
    return [list(part) if isinstance(part, Iterator) else part for part in made[1:]]


def _array(value: Any) -> bytes:
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return str(jr.key_impl(value)).encode() + _array(jr.key_data(value))
    found = np.asarray(value)
    if found.dtype.kind in "OTV":  # their bytes would be addresses
        return f"{found.shape}{found.tolist()!r}".encode()
    return f"{found.dtype}{found.shape}".encode() + np.ascontiguousarray(found).tobytes()


@_parts.register(float)
@_parts.register(complex)
@_parts.register(int)
@_parts.register(str)
@_parts.register(bytes)
@_parts.register(type(None))
def _plain(value: Any) -> bytes:
    if isinstance(value, Enum):
        return value.name.encode()
    return value.hex().encode() if isinstance(value, float) else repr(value).encode()


@_parts.register(list)
@_parts.register(tuple)
def _row(value: Any) -> list[Any]:
    return list(value)


@_parts.register(Set)
def _set(value: Set[Any]) -> bytes:
    return b"".join(sorted(_bytes(part, ()) for part in value))


@_parts.register(Mapping)
def _table(value: Mapping[Any, Any]) -> list[Any]:
    return sorted(value.items(), key=lambda item: str(item[0]))


@_parts.register(partial)
def _partial(value: partial) -> list[Any]:
    return [value.func, value.args, value.keywords]


@_parts.register(types.MethodType)
def _method(value: types.MethodType) -> list[Any]:
    return [value.__func__, value.__self__]


@_parts.register(types.FunctionType)
def _function(value: types.FunctionType) -> list[Any]:
    """What a function does that JAX does not trace, such as one that a program calls back."""
    cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    known = value.__globals__
    names = [name for name in _names(value.__code__) if name in known]
    used = {name: known[name] for name in names if not _is_of_a_package(known[name])}
    return [value.__code__, value.__defaults__, value.__kwdefaults__, cells, used]


@_parts.register(types.CodeType)
def _code(value: types.CodeType) -> list[Any]:
    return [value.co_code, value.co_consts, value.co_names]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names(code: types.CodeType) -> list[str]:
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType)
             for name in _names(part)]  # fmt: skip
    return sorted({*code.co_names, *inner})


def _is_of_a_package(value: Any) -> bool:
    """Whether a value is code of an installed package, which versions tell apart."""
    home = str(getattr(value, "__module__", "") or "").partition(".")[0]
    return isinstance(value, types.ModuleType) or home in ("builtins", "jax", "jaxlib", "numpy")


@_parts.register(ClosedJaxpr)
def _closed(value: ClosedJaxpr) -> list[Any]:
    return [value.jaxpr, list(value.consts)]


@_parts.register(Jaxpr)
def _jaxpr(value: Jaxpr) -> list[Any]:
    """Equations in order; variables are numbered as they come."""
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
