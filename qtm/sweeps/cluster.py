"""A sweep on a Dask cluster: submit tasks to its workers, and report lost ones."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from qtm.sweeps.grid import Region
from qtm.sweeps.task import Plan

if TYPE_CHECKING:
    from distributed import Client, Future

Results = tuple[np.ndarray, ...]
_Result = TypeVar("_Result")

# How long a scheduler may take to answer, and workers to connect before a warning.
_PATIENCE = "10s"
# How often to check that workers are left, and how long to wait for new ones, in seconds.
_LOOK, _ALONE = 5.0, 60.0


def on_cluster(
    scheduler: "str | Client", plan: Plan, tasks: Mapping[int, Region]
) -> Iterator[tuple[int, Results]]:
    """Compute tasks on the workers of a scheduler; yield number and results as they finish.

    Two tasks for each thread wait there, the others here. The plan is a separate task: where the
    workers that hold it die, others recreate it.

    Raises ValueError if no scheduler answers or a worker cannot load the plan; ConnectionError if
    the scheduler is lost, or workers die repeatedly at one task.
    """
    with _connected(scheduler) as client:
        _await_workers(client)
        plan_there = client.submit(_same, plan, pure=False)
        waiting, running = iter(tasks.items()), {}

        def top_up() -> None:
            threads = sum(cast(dict, client.nthreads()).values())
            for _ in range(2 * max(1, threads) - len(running)):
                for number, region in waiting:
                    running[client.submit(Plan.compute, plan_there, region, pure=False)] = number
                    break

        top_up()
        while running:
            for future in _done(client, list(running)):
                # A task's own error is raised at once, even if it is a TimeoutError.
                failed = future.status == "error"
                results = future.result() if failed else _while_workers_live(client, future.result)
                number = running.pop(future)
                top_up()
                yield number, results


def _done(client: "Client", futures: "list[Future]") -> "list[Future]":
    """Wait for the first of the futures."""
    from distributed import wait

    def first(timeout: float) -> "list[Future]":
        with client.as_current():  # `wait` accepts a client in no other way
            return list(wait(futures, timeout=timeout, return_when="FIRST_COMPLETED").done)

    return _while_workers_live(client, first)


def _while_workers_live(client: "Client", attempt: Callable[[float], _Result]) -> _Result:
    """Repeat ``attempt(timeout)``, which raises TimeoutError, until it returns; raise
    ConnectionError where no worker is left.

    Even results of finished tasks may take as long as the tasks: they are computed again if the
    worker that held them has left.
    """
    alone = 0.0
    while True:
        try:
            return attempt(_LOOK)
        except TimeoutError:
            alone = 0.0 if client.nthreads() else alone + _LOOK
        if alone >= _ALONE:
            raise ConnectionError(
                f"the Dask scheduler has had no workers for {_ALONE:g} seconds; finished tasks are "
                f"kept: run the same command again to resume, once there are workers"
            )


@contextmanager
def _connected(scheduler: "str | Client") -> "Iterator[Client]":
    """Connect to a scheduler by its address, and report a lost connection in one sentence."""
    from distributed import Client, KilledWorker
    from distributed.comm.core import CommClosedError

    where = scheduler if isinstance(scheduler, str) else "this client"
    # The library logs a lost connection as a traceback; the error is enough.
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)
    client = None
    try:
        if isinstance(scheduler, str):
            try:
                # As the default it would compute every other array of Dask too, and a failed or
                # lost connection would remain the default of the entire process.
                client = Client(scheduler, timeout=_PATIENCE, set_as_default=False)
            except (OSError, ValueError, TypeError) as error:
                raise ValueError(f"there is no Dask scheduler at {scheduler}.") from error
        else:
            client = scheduler
        try:
            yield client
        except KilledWorker as error:
            raise ConnectionError(
                f"workers of the Dask scheduler at {where} died repeatedly at one task (out of "
                f"memory?); finished tasks are kept: run the same command again to resume"
            ) from error
        except ImportError as error:
            raise ValueError(
                f"a worker of the Dask scheduler at {where} cannot load its task ({error}): "
                f"install the same qtm there as here."
            ) from error
        except ConnectionError:
            raise
        except (CancelledError, CommClosedError) as error:
            raise _lost(where) from error
        except Exception as error:
            if client.status in ("running", "newly-created"):
                raise
            raise _lost(where) from error
    finally:
        if client is not None and client is not scheduler:
            client.close()
        log.setLevel(level)


def _lost(where: str) -> ConnectionError:
    return ConnectionError(
        f"the connection to the Dask scheduler at {where} was lost; finished tasks are kept: "
        f"run the same command again to resume, with a running scheduler"
    )


def _await_workers(client: "Client") -> None:
    """Warn where no worker has connected yet: in a queue they may take hours, which is no error."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        warnings.warn("the Dask scheduler has no workers yet: waiting for them", stacklevel=4)


def _same(plan: Plan) -> Plan:
    return plan
