"""A type checker for jaxtyping's import hook that looks at arrays alone.

The packages check all other arguments: their errors name the key, the value and the allowed ones,
and a checker of all types would come before them. Annotations of tensors that are strings, in
modules that must not import torch, are not checked.
"""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from jaxtyping import AbstractArray


def names_arrays(annotation: Any) -> bool:
    """Return whether an annotation has the shape of an array somewhere in it."""
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return True
    return any(map(names_arrays, get_args(annotation)))


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value has the shape and dtype that an annotation says.

    Unions, tuples of fixed and of any length, sequences and mappings are looked into; anything
    but an array is taken as it is.
    """
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return isinstance(value, annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts if not is_ruled_out(value, part))
    if not names_arrays(annotation):
        return True
    if origin is tuple and isinstance(value, tuple):
        if len(parts) == 2 and parts[1] is ...:
            return all(fits(part, parts[0]) for part in value)
        return len(parts) == len(value) and all(map(fits, value, parts))
    if origin in (list, Sequence) and isinstance(value, list | tuple):
        return all(fits(part, parts[0]) for part in value)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return all(fits(part, parts[1]) for part in value.values())
    return True


def is_ruled_out(value: Any, annotation: Any) -> bool:
    """Return whether a value is of another class than a member of a union."""
    if inspect.isclass(annotation) and not issubclass(annotation, AbstractArray):
        return not get_origin(annotation) and not isinstance(value, annotation)
    return False


def checked(function: Callable) -> Callable:
    """Return a function that raises TypeError where an array does not fit its annotation.

    jaxtyping has the arguments checked first, by a function whose result is Any or not annotated,
    and then both. The second time the result is enough: axes that arguments bind stay bound.
    """
    signature = inspect.signature(function)
    returned = signature.return_annotation
    arrays = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if names_arrays(parameter.annotation)
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }

    def check_arguments(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        for name, annotation in arrays.items():
            if name in given and not fits(given[name], annotation):
                raise TypeError(f"{name} does not fit {annotation}")
        return function(*args, **kwargs)

    def check_result(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if not fits(result, returned):
            raise TypeError(f"the result does not fit {returned}")
        return result

    if returned in (Any, signature.empty):
        return check_arguments if arrays else function
    return check_result if names_arrays(returned) else function
