"""Optimisations for a small model on a CPU change its speed, not its results."""

import platform
import subprocess
import sys

import pytest
import torch

from empirical.pipeline import model
from tests.helpers import rounding

FAULTS = """
import resource, sys
import torch
from empirical.pipeline import memory
if sys.argv[1] == "kept":
    memory.keep_freed()
for turn in range(30):
    if turn == 20:
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


@pytest.mark.parametrize("count", [4, 16])
def test_padded_text_and_plain_attention_are_those_of_diffusers(stock, count):
    """The text of 12 tokens is padded to 16 and the rest masked, attention is not fused, and many
    images are convolved at points."""
    ours = model.load("digits")
    stock = stock.unet.eval()
    draw = torch.Generator().manual_seed(0)
    noisy = torch.randn((count, *ours.latent_shape), generator=draw)
    captions = ["a handwritten digit two", "", "a handwritten digit nine", ""]
    conditioning = ours.embed(captions * (count // 4))
    assert conditioning.hidden.shape[1] % 16
    times = torch.tensor([1, 300, 700, 999] * (count // 4))
    with torch.no_grad():
        expected = stock(noisy, times, conditioning.hidden).sample
        actual = ours.denoise(noisy, times, conditioning)
        # The mask hides zeros, which would count as text.
        hidden = torch.nn.functional.pad(conditioning.hidden, (0, 0, 0, 4))
        unmasked = stock(noisy, times, hidden).sample
    apart = rounding.of_network(
        stock, noisy, times, conditioning.hidden, output=lambda result: result.sample
    )
    # Sums at points of 4 x 4 blocks are differences of larger numbers than those of a window.
    torch.testing.assert_close(actual, expected, rtol=0, atol=4 * apart)
    assert (unmasked - expected).abs().max() > 100 * (actual - expected).abs().max()


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_freed_memory_is_not_asked_for_again():
    """Ten times 64 MiB: 16,384 pages each where the system takes them back."""

    def faults(how):
        words = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    assert faults("given back") > 100_000
    assert faults("kept") < 1000
