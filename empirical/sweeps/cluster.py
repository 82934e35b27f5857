"""Workers of a Dask cluster, on one or more machines that share the folder of the sweep.

A worker runs one chain at a time, so it is started with one thread, and declares how many chains
its devices take, with one GPU each::

    dask scheduler
    CUDA_VISIBLE_DEVICES=0 dask worker HOST:8786 --nthreads 1 --resources "GPU=1"

On Slurm, dask-jobqueue starts such workers, and the address is ``cluster.scheduler_address``::

    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        cores=1,
        memory="32GB",
        walltime="24:00:00",
        job_extra_directives=["--gpus=1"],
        worker_extra_args=["--resources", "GPU=1"],
    )
    cluster.scale(jobs=8)
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from empirical.errors import UserError
from empirical.progress import Progress
from empirical.sweeps import work
from empirical.sweeps.work import Failure, Task

T = TypeVar("T")

_TOPIC = "qtm-chain-sweep"
_PATIENCE = 60.0  # seconds without any worker
_LOOK = 5.0  # seconds after which workers are counted again


@dataclass
class ClusterPool:
    """The workers of a Dask scheduler; a context manager.

    `device` is "cuda" where each chain takes the resource GPU=1 of a worker, "cpu" where none does;
    None decides by the resources that the connected workers declare. Raises `UserError` where no
    scheduler or no worker answers, and for workers with several threads.
    """

    address: str
    device: str | None = None
    _client: Any = None

    def __enter__(self) -> Self:
        from distributed import Client

        if self.device not in (None, "cpu", "cuda"):
            raise UserError(
                f"the device is '{self.device}', allowed on a cluster are cpu and cuda: each "
                f"worker is started with the devices it sees"
            )
        try:
            self._client = Client(self.address, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise UserError(f"no Dask scheduler answers at '{self.address}': {error}") from None
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise UserError(
                f"the Dask scheduler at '{self.address}' has no worker after {_PATIENCE:g} s"
            ) from None
        for name, worker in self._workers().items():
            if worker["nthreads"] > 1:
                raise UserError(
                    f"the Dask worker '{name}' has {worker['nthreads']} threads, but runs one "
                    f"chain at a time: start it with --nthreads 1"
                )
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def capacity(self) -> int:
        """The number of workers."""
        return max(1, len(self._workers()))

    def work(self, tasks: Mapping[str, Task], progress: Progress) -> Iterator[tuple[str, Any]]:
        """Run tasks, in order, and yield (name, result or `Failure`) as they end."""
        from distributed import Event

        topic = f"{_TOPIC}-{id(self)}-{id(tasks)}"
        self._client.subscribe_topic(topic, lambda event: progress(event[1]))
        needs = {"GPU": 1} if self._on_gpus() else {}
        names = {}
        for rank, (name, task) in enumerate(tasks.items()):
            future = self._client.submit(
                _do, task, topic, str(Path.cwd()), pure=False, resources=needs, priority=-rank
            )
            names[future] = name
        try:
            while names:
                for future in self._first(list(names)):
                    yield names.pop(future), self._outcome(future)
        finally:
            # After an interruption, waiting tasks are not begun and running ones stop.
            with contextlib.suppress(CancelledError, OSError):  # the scheduler is gone
                self._client.cancel(list(names))
                Event(topic, client=self._client).set()
                self._client.unsubscribe_topic(topic)

    def _first(self, futures: list[Any]) -> list[Any]:
        """Wait for the first of some futures."""
        from distributed import wait

        def attempt(timeout: float) -> list[Any]:
            with self._client.as_current():  # `wait` accepts a client in no other way
                return list(wait(futures, timeout=timeout, return_when="FIRST_COMPLETED").done)

        try:
            return self._while_workers_live(attempt)
        except (CancelledError, OSError):
            raise self._lost() from None

    def _outcome(self, future: Any) -> Any:
        """Return the result of a task that has ended; it is lost if its worker left since."""
        if future.status == "error":
            return Failure(f"its Dask worker was lost: {future.exception(timeout=_LOOK)}")
        try:
            return self._while_workers_live(lambda timeout: future.result(timeout=timeout))
        except (CancelledError, OSError):
            raise self._lost() from None
        except UserError:
            raise
        except Exception as error:
            return Failure(f"its Dask worker was lost: {error}")

    def _lost(self) -> UserError:
        return UserError(
            f"the connection to the Dask scheduler at '{self.address}' was lost; what is finished "
            f"is kept: run the same command again to resume, with a running scheduler"
        )

    def _while_workers_live(self, attempt: Callable[[float], T]) -> T:
        """Repeat ``attempt(timeout)``, which raises TimeoutError, until it returns; raise
        `UserError` where no worker is left."""
        alone = 0.0
        while True:
            try:
                return attempt(_LOOK)
            except TimeoutError:
                alone = 0.0 if self._client.nthreads() else alone + _LOOK
            if alone >= _PATIENCE:
                raise UserError(
                    f"the Dask scheduler at '{self.address}' has had no workers for "
                    f"{_PATIENCE:g} s; what is finished is kept: run the same command again to "
                    f"resume, once there are workers"
                )

    def _workers(self) -> dict[str, Any]:
        return self._client.scheduler_info(n_workers=-1)["workers"]

    def _on_gpus(self) -> bool:
        if self.device is not None:
            return self.device == "cuda"
        return any(worker["resources"].get("GPU") for worker in self._workers().values())


def _do(task: Task, topic: str, place: str) -> Any:
    """Run a task on a worker, in the folder that relative paths of recipes start from."""
    from distributed import Event, get_worker

    worker = get_worker()
    ended = Event(topic)

    def tell(count: int) -> None:
        if ended.is_set():
            raise UserError("the sweep was interrupted")
        worker.log_event(topic, count)

    with work.Throttled(tell) as progress:
        if not Path(place).is_dir():
            return Failure(f"the worker '{worker.address}' does not see the folder '{place}'")
        with contextlib.chdir(place):
            return work.attempt(task, progress)
