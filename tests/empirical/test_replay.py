"""Recorded work: equal to plain work, in what it returns and in what it writes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from empirical.data import real_images
from empirical.generator.diffusion import DiffusionGenerator
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.pipeline import model
from empirical.pipeline.adapters import WEIGHTS
from empirical.pipeline.replay import Replayed
from empirical.recipe import DataTable, parse
from tests.helpers.random_pipelines import tiny_xl
from tests.helpers.taped import Tapes


@pytest.fixture
def total():
    return torch.zeros(2)


@pytest.fixture
def adding(total):
    """A function that returns twice its input and adds it to a total."""

    def add(values):
        total.add_(values.sum(0))
        return (2 * values,)

    return add


def test_a_function_is_recorded_once_for_each_shape(adding, total):
    tapes = Tapes()
    replayed = Replayed(adding, tapes, lambda: [total])
    expected = torch.zeros(2)
    for count in (3, 3, 4, 3, 4, 3, 4):
        values = torch.arange(2.0 * count).view(count, 2) + len(expected)
        expected += values.sum(0)
        assert torch.equal(replayed(values)[0], 2 * values)
        assert torch.equal(total, expected)
    assert tapes.recorded == 2
    # Three calls with 3 rows and two with 4 after the first ones.
    assert tapes.replayed == 5


def test_values_of_earlier_calls_stay(adding, total):
    replayed = Replayed(adding, Tapes(), lambda: [total])
    values = [replayed(torch.full((1, 2), float(i)))[0] for i in range(5)]
    assert [value[0, 0].item() for value in values] == [0, 2, 4, 6, 8]


def test_a_recording_that_does_something_else_is_not_used(total):
    """A number of Python's changes with every call, which a recording cannot know."""
    calls = []

    def count(values):
        calls.append(1)
        total.add_(len(calls))
        return (values * len(calls),)

    replayed = Replayed(count, Tapes(), lambda: [total])
    ones = torch.ones(1)
    replayed(ones)
    with pytest.warns(UserWarning, match="not recorded, which is slower: it gives other numbers"):
        second = replayed(ones)[0]
    assert second == 2
    assert total[0] == 1 + 2
    assert replayed(ones)[0] == len(calls)
    assert total[0] == 1 + 2 + len(calls)


def test_what_cannot_be_recorded_runs_as_it_is(adding, total):
    class Refusing(Tapes):
        def record(self, function, inputs):
            total.add_(1000)
            raise RuntimeError("operation not permitted when stream is capturing\nat line 1")

    replayed = Replayed(adding, Refusing(), lambda: [total])
    ones = torch.ones(1, 2)
    replayed(ones)
    with pytest.warns(UserWarning, match="not permitted when stream is capturing"):
        replayed(ones)
    replayed(ones)
    assert total.tolist() == [3, 3]


def test_out_of_memory_is_not_taken_for_what_cannot_be_recorded(adding, total):
    class Full(Tapes):
        def record(self, function, inputs):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    replayed = Replayed(adding, Full(), lambda: [total])
    replayed(torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="out of memory"):
        replayed(torch.ones(1, 2))


@pytest.mark.parametrize(
    ("precision", "table"),
    [
        ("float32", {"start_from": "previous"}),
        ("bfloat16", {"micro_batches": 2}),
    ],
)
def test_a_recorded_chain_is_the_plain_one(precision, table, tmp_path, monkeypatch):
    """Two generations, of which the second replays what the first has recorded."""
    # As on a GPU, where attention has no padding.
    monkeypatch.setattr(model, "_VECTOR", 1)
    recipe = parse(
        {
            "model": {"precision": precision},
            "data": {"size": 6},
            "finetune": {"steps": 3, "rank": 2, "batch_size": 4, "condition_drop": 0.3, **table},
            "generate": {
                "guidance": {"rule": "constant", "scale": 3.0}, "steps": 3, "batch_size": 4,
            },
        }
    )  # fmt: skip
    results = {}
    for way, recorder in (("plain", None), ("recorded", Tapes())):
        base = model.load("digits", precision=precision)
        base.__dict__["recorder"] = recorder
        generator = DiffusionGenerator(base, recipe.settings)
        population = real_images.real(DataTable(size=6), base.side, base.mode, 0)
        images = []
        for number in (1, 2):
            folder = tmp_path / way / f"gen_{number:03d}"
            generator.fit(population, number, folder, lambda count: None)
            for part in model.batches(6, 4):
                captions = [population.captions[i] for i in part]
                images.append(generator.sample(captions, list(part), lambda count: None))
        results[way] = folder, np.concatenate(images)
    assert recorder.recorded > 0
    assert recorder.replayed > recorder.recorded
    (plain, images), (recorded, again) = results["plain"], results["recorded"]
    losses, same = (pd.read_csv(folder / "loss.csv") for folder in (plain, recorded))
    # Merged weights are the same numbers, on which the same operations run.
    pd.testing.assert_frame_equal(losses, same, check_exact=True)
    assert (plain / "lora" / WEIGHTS).read_bytes() == (recorded / "lora" / WEIGHTS).read_bytes()
    np.testing.assert_array_equal(images, again)


def test_a_recorded_xl_model_draws_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(model, "_VECTOR", 1)
    rule, captions = Constant(rule="constant", scale=3.0), ["a handwritten digit two"] * 3
    base, tapes = model.load(str(tiny_xl(tmp_path))), Tapes()
    images = []
    for recorder in (None, tapes):
        again = replace(base)
        again.__dict__["recorder"] = recorder
        with again.drawing():
            images.append(sample(again, captions, [1, 2, 3], rule, "ddim", 4))
    assert tapes.replayed == 3
    np.testing.assert_array_equal(*images)
