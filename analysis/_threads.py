"""Linear algebra of small matrices on one thread."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
T = TypeVar("T")


def one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Return `function` with BLAS and LAPACK on one thread.

    L-BFGS-B solves a system of at most 10 x 10 in each step. Two OpenBLAS threads wait for
    each other there: two thirds of a fit, or minutes where other programs use the cores.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with threadpool_limits(1, user_api="blas"):
            return function(*args, **kwargs)

    return run
