"""Worker processes on this machine: long-lived, each with its device and threads."""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from empirical.errors import UserError
from empirical.progress import Progress
from empirical.sweeps import work
from empirical.sweeps.work import Failure, Task

_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Slot:
    """The resources of a worker: its visible CUDA device ("" for none), and its threads."""

    device: str
    threads: int

    def environment(self) -> dict[str, str]:
        """Return the environment variables to set before torch is imported."""
        threads = str(self.threads)
        return {
            "CUDA_VISIBLE_DEVICES": self.device,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "WORLD_SIZE": "1",
        }


def slots(workers: int | None, threads: int | None, device: str | None) -> list[Slot]:
    """Distribute devices and threads among workers.

    `device` is "cpu", "cuda" (all devices) or "cuda:1"; None takes CUDA devices where there are
    any. By default there is one worker for each CUDA device, or one for each core with one thread;
    more workers share the devices in turn. Raises `UserError` for a device that does not exist.
    """
    devices, cores = _devices(device), _cores()
    count = workers or (len(devices) if devices != [""] else cores)
    each = threads or max(1, cores // count)
    return [Slot(devices[i % len(devices)], each) for i in range(count)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available_memory() -> int:
    """Return the available memory in bytes where the system reports it, else the largest int."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return free[0] if free else sys.maxsize


def _devices(requested: str | None) -> list[str]:
    """Return the values of CUDA_VISIBLE_DEVICES for child processes, ``[""]`` for the CPU."""
    if requested == "cpu":
        return [""]
    import torch

    count = torch.cuda.device_count()
    masked = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [str(i) for i in range(count)] if masked is None else masked.split(",")[:count]
    if requested is None:
        return visible or [""]
    allowed = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if requested not in allowed:
        raise UserError(f"the device is '{requested}', allowed here are {', '.join(allowed)}")
    return visible if requested == "cuda" else [visible[int(requested.removeprefix("cuda:"))]]


@dataclass
class _Worker:
    slot: Slot
    process: Any
    pipe: Connection
    log: Path
    doing: str = ""


@dataclass
class LocalPool:
    """Workers on this machine, started on demand; a context manager."""

    slots: list[Slot]
    _idle: list[_Worker] = field(default_factory=list)
    _busy: dict[Connection, _Worker] = field(default_factory=dict)
    _logs: Any = None

    def __enter__(self) -> Self:
        self._logs = tempfile.TemporaryDirectory(prefix="qtm-")
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dismiss()
        self._logs.cleanup()

    def fit(self, memory: int) -> None:
        """Limit the workers on the CPU to those that fit into memory, at `memory` bytes each."""
        room = max(1, _available_memory() // max(memory, 1))
        if room < len(self.slots) and self.slots[0].device == "":
            self._dismiss()
            self.slots = [Slot("", max(1, _cores() // room))] * room

    def _dismiss(self) -> None:
        everyone = [*self._idle, *self._busy.values()]
        for worker in everyone:
            # The files of a killed chain are complete; it can be resumed.
            worker.process.terminate()
        for worker in everyone:
            worker.process.join()
            worker.pipe.close()
        self._idle.clear()
        self._busy.clear()

    @property
    def capacity(self) -> int:
        """The number of chains that run at a time as fast as one alone: sharing cores or devices
        slows them down."""
        devices = {slot.device for slot in self.slots}
        if devices != {""}:
            return len(devices)
        return max(1, min(len(self.slots), _cores() // self.slots[0].threads))

    def work(self, tasks: Mapping[str, Task], progress: Progress) -> Iterator[tuple[str, Any]]:
        """Run tasks, in order, and yield (name, result or `Failure`) as they end."""
        waiting = list(tasks.items())
        while waiting or self._busy:
            while waiting and len(self._busy) < len(self.slots):
                name, task = waiting.pop(0)
                worker = self._idle.pop() if self._idle else self._start()
                worker.doing = name
                worker.pipe.send(task)
                self._busy[worker.pipe] = worker
            for pipe in wait(list(self._busy)):
                worker = self._busy[pipe]  # type: ignore[index]
                try:
                    kind, content = worker.pipe.recv()
                except (EOFError, ConnectionError):
                    del self._busy[worker.pipe]
                    yield worker.doing, _exit_failure(worker)
                    continue
                if kind == "progress":
                    progress(content)
                else:
                    del self._busy[worker.pipe]
                    self._idle.append(worker)
                    yield worker.doing, content

    def _start(self) -> _Worker:
        taken = [worker.slot for worker in [*self._idle, *self._busy.values()]]
        free = list(self.slots)
        for slot in taken:
            free.remove(slot)
        slot = free[0]
        ours, theirs = _CONTEXT.Pipe()
        log = Path(self._logs.name) / f"{time.monotonic_ns()}.txt"
        process = _CONTEXT.Process(target=_serve, args=(theirs, str(log)), daemon=True)
        with _environment(slot.environment()):
            process.start()
        theirs.close()
        return _Worker(slot, process, ours, log)


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(pipe: Connection, log: str) -> None:
    """Run the tasks that come through the pipe until the leader is gone."""
    # The leader is interrupted too, and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(log, "w", buffering=1) as stream:  # noqa: PTH123
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = stream
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                task = pipe.recv()
                with work.Throttled(lambda count: pipe.send(("progress", count))) as progress:
                    result = work.attempt(task, progress)
                pipe.send(("result", result))


def _exit_failure(worker: _Worker) -> Failure:
    worker.process.join()
    worker.pipe.close()
    code = worker.process.exitcode
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        how += " (out of memory?)" if -code == signal.SIGKILL else ""
    else:
        how = f"ended with exit code {code}"
    log = worker.log.read_text(errors="replace") if worker.log.is_file() else ""
    return Failure(f"its worker process {how}", log[-4000:])
