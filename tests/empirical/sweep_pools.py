"""A pool in the test's own process, and tasks for worker processes."""

import os
import signal
import time

from empirical.errors import UserError
from empirical.sweeps import work


class Here:
    """Does all tasks itself, one after the other."""

    capacity = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def fit(self, memory):
        pass

    def work(self, tasks, advance):
        for name, task in tasks.items():
            yield name, work.attempt(task, advance)


def count(advance):
    for _ in range(5):
        advance(2)
    return os.getpid()


def environment(advance):
    return os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"], os.getpid()


def refuse(advance):
    raise UserError("no such thing")


def break_off(advance):
    raise ZeroDivisionError("by nothing")


def die(advance):
    os.write(2, b"last words\n")
    os.kill(os.getpid(), signal.SIGKILL)


def dawdle(advance):
    advance(1)
    time.sleep(60)
