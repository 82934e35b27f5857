"""A sweep on a Dask cluster: hands tasks to its workers, and says when they are lost."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np

from qtm.sweeps.grid import Region
from qtm.sweeps.task import Plan

if TYPE_CHECKING:
    from distributed import Client, Future

Results = tuple[np.ndarray, ...]

# How long a scheduler may take to answer, and workers to be there without a word.
_PATIENCE = "10s"
# How often to look whether workers are left, and how long others may take to come, in seconds.
_LOOK, _ALONE = 5.0, 60.0


def on_cluster(
    scheduler: "str | Client", plan: Plan, tasks: Mapping[int, Region]
) -> Iterator[tuple[int, Results]]:
    """Compute tasks on the workers of a scheduler; yield number and results as they come.

    Two tasks for each thread wait there, the others here. The plan is a task of its own: where the
    workers that hold it die, others make it again.

    Raises ValueError if no scheduler answers or a worker cannot load the plan; ConnectionError if
    the scheduler is lost, or workers die again and again at one task.
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
                results = future.result()
                number = running.pop(future)
                top_up()
                yield number, results


def _done(client: "Client", futures: "list[Future]") -> "list[Future]":
    """Wait for the first of the futures; ConnectionError where no worker is left to compute it."""
    from distributed import wait

    alone = 0.0
    while True:
        try:
            with client.as_current():  # `wait` knows no other way to be given a client
                return list(wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            alone = 0.0 if client.nthreads() else alone + _LOOK
        if alone >= _ALONE:
            raise ConnectionError(
                f"the Dask scheduler has had no workers for {_ALONE:g} seconds; what was finished "
                f"is kept: give the same command again to go on, once there are workers"
            )


@contextmanager
def _connected(scheduler: "str | Client") -> "Iterator[Client]":
    """Connect to a scheduler given by its address, and say in one sentence what is lost."""
    from distributed import Client, KilledWorker
    from distributed.comm.core import CommClosedError

    where = scheduler if isinstance(scheduler, str) else "this client"
    # The library logs a lost connection as a traceback; the error says it.
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)
    client = None
    try:
        if isinstance(scheduler, str):
            try:
                # As a default it would compute every other array of Dask too, and a connection
                # that fails or is lost would stay behind as the setting of the whole process.
                client = Client(scheduler, timeout=_PATIENCE, set_as_default=False)
            except (OSError, ValueError, TypeError) as error:
                raise ValueError(f"there is no Dask scheduler at {scheduler}.") from error
        else:
            client = scheduler
        try:
            yield client
        except KilledWorker as error:
            raise ConnectionError(
                f"workers of the Dask scheduler at {where} died again and again at one task (out "
                f"of memory?); what was finished is kept: give the same command again to go on"
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
        f"the connection to the Dask scheduler at {where} was lost; what was finished is kept: "
        f"give the same command again to go on, with a scheduler that runs"
    )


def _await_workers(client: "Client") -> None:
    """Warn where no worker is there yet: on a queue they may take hours, and that is no error."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        warnings.warn("the Dask scheduler has no workers yet: waiting for them", stacklevel=4)


def _same(plan: Plan) -> Plan:
    return plan
