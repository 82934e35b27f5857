"""Digests of values of any kind, from all their bytes.

Differences between processes, such as addresses of functions or the order of a set, are left out.
`qtm.sweeps.traced` adds programs that JAX has traced.
"""

import hashlib
import types
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial, singledispatch
from typing import Any

import jax
import jax.random as jr
import numpy as np


def values(*parts: Any) -> str:
    """Digest arrays, numbers, texts and containers of them: 16 hexadecimal digits."""
    return _hash(*(_bytes(part, ()) for part in parts)).hex()


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _bytes(value: Any, within: tuple[int, ...]) -> bytes:
    """Digest any value; `within` are the ids of the objects that contain it."""
    if id(value) in within:
        return b"itself"
    kind = f"{type(value).__module__}.{type(value).__qualname__}".encode()
    parts = parts_of(value)
    if isinstance(parts, bytes):
        return _hash(kind, parts)
    return _hash(kind, *(_bytes(part, (*within, id(value))) for part in parts))


@singledispatch
def parts_of(value: Any) -> Any:
    """Return the bytes of a value, or a list of its components."""
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
    # An object whose repr is its address has nothing else to compare.
    return b"" if " at 0x" in text else text.encode()


def _state(value: Any) -> Any:
    """Return the components of a copy of an object, even if it has slots or is a table of pandas;
    None where it cannot be copied."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # objects that cannot be copied raise anything
        return None
    if isinstance(made, str):
        return made.encode()
    # A maker, its arguments, the state, and iterators over items.
    return [list(part) if isinstance(part, Iterator) else part for part in made[1:]]


def _array(value: Any) -> bytes:
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return str(jr.key_impl(value)).encode() + _array(jr.key_data(value))
    array = np.asarray(value)
    if array.dtype.kind in "OTV":  # their bytes would be addresses
        return f"{array.shape}{array.tolist()!r}".encode()
    return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()


@parts_of.register(float)
@parts_of.register(complex)
@parts_of.register(int)
@parts_of.register(str)
@parts_of.register(bytes)
@parts_of.register(type(None))
def _plain(value: Any) -> bytes:
    if isinstance(value, Enum):
        return value.name.encode()
    return value.hex().encode() if isinstance(value, float) else repr(value).encode()


@parts_of.register(list)
@parts_of.register(tuple)
def _row(value: Any) -> list[Any]:
    return list(value)


@parts_of.register(Set)
def _set(value: Set[Any]) -> bytes:
    return b"".join(sorted(_bytes(part, ()) for part in value))


@parts_of.register(Mapping)
def _table(value: Mapping[Any, Any]) -> list[Any]:
    return sorted(value.items(), key=lambda item: str(item[0]))


@parts_of.register(partial)
def _partial(value: partial) -> list[Any]:
    return [value.func, value.args, value.keywords]


@parts_of.register(types.MethodType)
def _method(value: types.MethodType) -> list[Any]:
    return [value.__func__, value.__self__]


@parts_of.register(types.FunctionType)
def _function(value: types.FunctionType) -> list[Any]:
    """Return the components of a function that JAX does not trace, such as a callback."""
    cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    known = value.__globals__
    names = [name for name in _names(value.__code__) if name in known]
    used = {name: known[name] for name in names if not _is_of_a_package(known[name])}
    return [value.__code__, value.__defaults__, value.__kwdefaults__, cells, used]


@parts_of.register(types.CodeType)
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
    """Return whether a value is code of an installed package, which its version identifies."""
    home = str(getattr(value, "__module__", "") or "").partition(".")[0]
    return isinstance(value, types.ModuleType) or home in ("builtins", "jax", "jaxlib", "numpy")
