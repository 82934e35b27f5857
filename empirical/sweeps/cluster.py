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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from empirical.errors import UserError
from empirical.progress import Progress
from empirical.sweeps import work
from empirical.sweeps.work import Failure, Task

_TOPIC = "qtm-chain-sweep"
_PATIENCE = 60  # seconds for the first worker to connect


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
                f"the Dask scheduler at '{self.address}' has no worker after {_PATIENCE} s"
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
        from distributed import Event, as_completed

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
            for future in as_completed(list(names), loop=self._client.loop):
                yield names[future], _outcome(future)
        finally:
            # After an interruption, waiting tasks are not begun and running ones stop.
            self._client.cancel(list(names))
            Event(topic, client=self._client).set()
            self._client.unsubscribe_topic(topic)

    def _workers(self) -> dict[str, Any]:
        return self._client.scheduler_info(n_workers=-1)["workers"]

    def _on_gpus(self) -> bool:
        if self.device is not None:
            return self.device == "cuda"
        return any(worker["resources"].get("GPU") for worker in self._workers().values())


def _outcome(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:
        return Failure(f"its Dask worker was lost: {error}")


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
