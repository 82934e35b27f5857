"""Chains on the cores of this machine: one with all threads, or one a core with a thread each.

Single-threaded chains side by side are to beat as many chains one after the other that have all
cores each; `empirical.sweeps.local.slots` goes by this.
"""

from functools import partial

import pytest

from empirical import recipe
from empirical.sweeps import work
from empirical.sweeps.local import LocalPool, Slot, _cores

SMALL = recipe.parse(
    {
        "generations": 1,
        "data": {"size": 40},
        "finetune": {"steps": 5},
        "generate": {"steps": 5, "batch_size": 40},
    }
)


@pytest.mark.benchmark(group="as many chains as cores: 1 generation, 5 steps of 64, 40 images")
@pytest.mark.parametrize("side_by_side", [True, False], ids=["one thread each", "all threads"])
def test_chains(benchmark, tmp_path, side_by_side):
    cores = _cores()
    slots = [Slot("", 1)] * cores if side_by_side else [Slot("", cores)]
    rounds = iter(range(100))
    with LocalPool(slots) as pool:

        def chains():
            number = next(rounds)
            tasks = {
                str(i): partial(work.run, SMALL, tmp_path / f"{number}-{i}") for i in range(cores)
            }
            for name, result in pool.work(tasks, lambda count: None):
                assert result is None, (name, result)

        benchmark.pedantic(chains, rounds=2, warmup_rounds=1)
