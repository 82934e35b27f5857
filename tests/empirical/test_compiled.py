"""A compiled denoiser: the same numbers, and one compilation for all generations."""

from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from empirical.generator import trainable
from empirical.pipeline import adapters, compiled, model
from empirical.pipeline.bare import Bare
from empirical.recipe import FinetuneTable
from tests.helpers import rounding

TABLE = FinetuneTable(rank=2)


@pytest.fixture
def counter(monkeypatch):
    """Compiles up to the last step, which takes a minute, and counts how often."""
    counting = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    torch._dynamo.reset()
    return counting


@pytest.fixture(scope="module")
def both():
    return model.load("digits"), model.load("digits", compiled=True)


def predict(which, conditioning):
    noisy = torch.randn((3, *which.latent_shape), generator=torch.Generator().manual_seed(0))
    return which.denoise(noisy, torch.tensor([10, 400, 900]), conditioning)


def close(actual, expected, relative):
    size = expected.abs().max().item()
    torch.testing.assert_close(actual, expected, rtol=0, atol=relative * size)


def relative_rounding(which, conditioning):
    """The rounding error of reordered operations, relative to the largest prediction."""
    noisy = torch.randn((3, *which.latent_shape), generator=torch.Generator().manual_seed(0))
    times = torch.tensor([10, 400, 900])
    apart = rounding.of_network(
        which.unet, noisy, times, conditioning.hidden, output=lambda result: result.sample
    )
    with torch.no_grad():
        return apart / predict(which, conditioning).abs().max().item()


@pytest.mark.slow
def test_adapters_come_and_go_without_a_new_compilation(counter, both):
    """Of two adapters in turn, and of the base, predictions and gradients are those of the plain
    denoiser."""
    conditioning = both[0].embed(["a handwritten digit two"] * 3)
    relative = relative_rounding(both[0], conditioning)
    compilations = []
    for seed in (1, 2):
        predictions = []
        for which in both:
            learnt = trainable.begin(which, TABLE, seed, ())
            with torch.no_grad():
                for name, weight in learnt.weights.items():
                    if name.endswith("up"):
                        weight.fill_(0.02)
            trainable.mode(which, TABLE, training=True)
            loss = predict(which, conditioning).square().mean()
            loss.backward()
            trainable.mode(which, TABLE, training=False)
            with torch.no_grad(), adapters.merged(which.unet):
                drawn = predict(which, conditioning)
            predictions.append((loss.detach(), drawn, [w.grad for w in learnt.weights.values()]))
        (loss, drawn, grads), (loss_c, drawn_c, grads_c) = predictions
        torch.testing.assert_close(loss_c, loss, rtol=2 * relative, atol=0)
        close(drawn_c, drawn, relative)
        for ours, theirs in zip(grads_c, grads, strict=True):
            # Back through as many operations as forward, on numbers that were rounded before.
            close(ours, theirs, 4 * relative)
        compilations.append(counter.frame_count)
    assert compilations[0] > 0
    assert compilations[1] == compilations[0]
    for which in both:
        trainable.unload(which)
    with torch.no_grad():
        plain, compiled = (predict(which, conditioning) for which in both)
    close(compiled, plain, relative)
    assert not torch.allclose(plain, drawn, atol=1e-3)


@pytest.mark.slow
def test_equal_blocks_are_compiled_once(counter, both):
    """As on a GPU: the same predictions and gradients, from fewer functions than blocks."""
    plain, conditioning = both[0], both[0].embed(["a handwritten digit two"] * 3)
    relative = relative_rounding(plain, conditioning)
    bare = Bare(plain.unet)
    run = compiled.by_regions(bare)
    blocks = [layer for layer in bare.module.modules() if isinstance(layer, compiled._REGIONS)]
    noisy = torch.randn((3, *plain.latent_shape), generator=torch.Generator().manual_seed(0))
    hidden = conditioning.hidden.requires_grad_()
    times = torch.tensor([10, 400, 900])
    results = []
    for predicted in (
        plain.unet(noisy, times, hidden).sample, run(dict(bare.merged()), noisy, times, hidden)
    ):  # fmt: skip
        results.append((predicted, *torch.autograd.grad(predicted.square().mean(), hidden)))
    for expected, actual in zip(*results, strict=True):
        close(actual, expected, 4 * relative)
    assert 0 < counter.frame_count < len(blocks)
    compilations = counter.frame_count
    run(dict(bare.merged()), noisy, times, hidden)
    assert counter.frame_count == compilations
