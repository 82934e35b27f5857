"""The plan: its estimates grow with what they should, and are near what a chain then takes."""

import time
from dataclasses import replace

import numpy as np
import pytest

from empirical.chain import estimate, loop
from empirical.errors import UserError
from empirical.generator.trainable import unload
from tests.helpers.tiny_chain import tiny

COST = estimate.Benchmark(step=1.0, encode=0.5, draw=0.01, decode=0.02, measure=3.0, memory=7)


@pytest.fixture(scope="module")
def found(digits):
    return estimate.benchmark(tiny(), digits)


def test_the_sum_is_as_written_here(digits, tmp_path):
    """Two generations of 20 images, 3 steps each, and 20 probes in three generations.

    All are drawn once more without guidance, by half of the predictions; of generation 0 the base
    model's.
    """
    each = estimate.estimate(tiny(), digits, tmp_path / "run", COST)
    assert each.generations == 3
    assert each.finetuning == pytest.approx(2 * (3 * 1.0 + 20 * 0.5))
    guided, unguided = 2 * 20 + 3 * 20, 3 * 20
    assert each.sampling == pytest.approx(guided * (0.02 + 2 * 0.01) + unguided * (0.02 + 0.01))
    assert each.measuring == pytest.approx(2 * 3 * 3.0)
    assert each.seconds == pytest.approx(each.finetuning + each.sampling + each.measuring)
    assert (each.memory, each.disk) == (7, loop.size(tiny().settings, digits))
    off = tiny(measure={"unguided": False})
    without = estimate.estimate(off, digits, tmp_path / "run", COST)
    assert without.sampling == pytest.approx(4.0)
    assert without.disk < each.disk
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"generations": 4}, "seconds"),
        ({"finetune": {"steps": 9}}, "finetuning"),
        ({"finetune": {"training_set": "accumulate"}}, "finetuning"),
        ({"generate": {"steps": 9}}, "sampling"),
        ({"data": {"size": 40}}, "sampling"),
        ({"finetune": {"rank": 8}}, "disk"),
        ({"finetune": {"method": "full"}}, "disk"),
    ],
)
def test_more_takes_more(digits, tmp_path, changes, part):
    less = estimate.estimate(tiny(), digits, tmp_path / "run", COST)
    more = estimate.estimate(tiny(**changes), digits, tmp_path / "run", COST)
    assert getattr(more, part) > getattr(less, part)


def test_what_is_done_takes_no_more(digits, tiny_run, tmp_path):
    left = estimate.estimate(tiny(), digits, tiny_run.folder, COST)
    assert (left.generations, left.seconds) == (0, 0)
    with pytest.raises(UserError, match="another recipe"):
        estimate.estimate(tiny(seed=3), digits, tiny_run.folder, COST)


@pytest.mark.slow
def test_the_benchmark_is_near_the_truth(digits, found, tiny_run, tmp_path):
    """Within a factor of two of a chain that is run right after; machines shared with others do
    not keep time, so the best of three counts."""
    ratios = []
    for attempt in range(3):
        cost = found if attempt == 0 else estimate.benchmark(tiny(), digits)
        foretold = estimate.estimate(tiny(), digits, tmp_path / "run", cost).seconds
        started = time.monotonic()
        loop.run(tiny(), tmp_path / f"run-{attempt}", base=digits)
        ratios.append(foretold / (time.monotonic() - started))
        if 0.5 < ratios[-1] < 2:
            break
    else:
        pytest.fail(f"the estimates were {ratios} of what it took")
    held = sum(path.stat().st_size for path in tiny_run.folder.rglob("*") if path.is_file())
    assert 0.5 * held < loop.size(tiny().settings, digits) < 2 * held


def test_the_benchmark_leaves_the_model_as_it_was(digits, found):
    assert 100e6 < found.memory < 8e9
    assert min(found.step, found.draw, found.decode, found.measure) > 0
    before = {name: value.clone() for name, value in digits.unet.state_dict().items()}
    estimate.benchmark(tiny(finetune={"method": "full"}), digits)
    unload(digits)
    after = digits.unet.state_dict()
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    assert not digits.unet.training


def test_a_long_batch_is_foretold_from_smaller_ones(monkeypatch):
    """Costs of 3 n + 1 seconds and 10 n + 5 bytes, exactly."""
    asked = []

    def costs(n):
        asked.append(n)
        return np.array([3.0 * n + 1, 10.0 * n + 5])

    for seconds, sizes in ((1.0, [1, 2]), (200.0, [1, 16]), (1e9, [1, 100])):
        monkeypatch.setattr(estimate, "_LONG", seconds)
        asked.clear()
        assert list(estimate._batch_costs(100, costs)) == pytest.approx([301, 1005])
        assert asked == sizes
    assert list(estimate._batch_costs(1, costs)) == [4, 15]


def test_recipes_that_cost_the_same_share_a_benchmark():
    guided = {"guidance": {"rule": "constant", "scale": 5.0}}
    same = [tiny(), tiny(seed=4), tiny(finetune={"learning_rate": 1e-3}), tiny(generate=guided)]
    assert len({estimate.kind(each.settings) for each in same}) == 1
    free = {"guidance": {"rule": "constant", "scale": 1.0}}
    others = [tiny(generate=free), tiny(finetune={"rank": 3}), tiny(data={"size": 21})]
    assert len({estimate.kind(each.settings) for each in [*same, *others]}) == 4


def test_seconds_of_a_sweep():
    from empirical.sweeps.run import duration

    one = estimate.Estimate(1, 1.0, 0.0, 0.0, 0, 0)
    estimates = {str(i): replace(one, sampling=float(i)) for i in range(4)}
    assert duration(estimates, 1) == 10
    assert duration(estimates, 2) == 5
    assert duration(estimates, 9) == 4
    assert duration({}, 2) == 0


def test_a_compiled_model_is_timed_at_its_second_use():
    """The first use of a batch size compiles, which no later batch does."""
    used: list[int] = []

    def costs(n):
        used.append(n)
        return np.array([9.0 if used.count(n) == 1 else 1.0, 0.0, 7.0])

    assert estimate._batch_costs(4, costs, compiled=True).tolist() == [1.0, 0.0, 7.0]
    assert used == [1, 1, 4, 4]


def test_a_finished_run_costs_nothing_more(digits, tiny_run, monkeypatch):
    monkeypatch.setattr(estimate, "benchmark", lambda *_: pytest.fail("nothing is left to time"))
    left = estimate.estimate(tiny(), digits, tiny_run.folder)
    assert (left.generations, left.seconds) == (0, 0)
