"""Convolutions at points: the plain convolution's numbers and gradients, where they are used."""

import pytest
import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch.nn import functional

from empirical.pipeline import model, winograd
from tests.helpers import rounding


def plainly(x, weight, bias, doubled):
    x = functional.interpolate(x, scale_factor=2, mode="nearest") if doubled else x
    return functional.conv2d(x, weight, bias, padding=1)


def drawn(side, dtype, seed=0):
    """Twenty images, a kernel of 40 to 33 channels, and a bias."""
    draw = torch.Generator().manual_seed(seed)
    shapes = (20, 40, side, side), (33, 40, 3, 3), (33,)
    x, weight, bias = (torch.randn(shape, generator=draw, dtype=dtype) for shape in shapes)
    return x, weight / 19, bias


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("side", [4, 8, 12])
def test_it_is_the_convolution(side, doubled):
    """In float64, where rounding leaves twelve digits: outputs and all gradients."""
    tensors = [t.requires_grad_() for t in drawn(side, torch.float64)]
    expected = plainly(*tensors, doubled)
    actual = winograd.convolve(*tensors, doubled=doubled)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    toward = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).double()
    for ours, theirs in zip(
        torch.autograd.grad(actual, tensors, toward),
        torch.autograd.grad(expected, tensors, toward),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("doubled", [False, True])
def test_rounding_stays_small(doubled):
    """In float32, beside outputs of about 1."""
    x, weight, bias = drawn(4, torch.float32)
    exact = plainly(x.double(), weight.double(), bias.double(), doubled)
    error = (winograd.convolve(x, weight, bias, doubled=doubled) - exact).square().mean().sqrt()
    # Sums of 360 products of random signs, once at points and once back from them.
    assert 0 < error < rounding.float32_error(1, 2 * 360**0.5)


def test_images_do_not_depend_on_each_other():
    x, weight, bias = drawn(4, torch.float64)
    together = winograd.convolve(x, weight, bias)
    alone = winograd.convolve(x[2:3], weight, bias)
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(48, 48, 3, stride=2, padding=1),
        nn.Conv2d(48, 48, 3),
        nn.Conv2d(48, 48, 1),
        nn.Conv2d(48, 48, 3, padding=2, dilation=2),
        nn.Conv2d(48, 48, 3, padding=1, groups=2),
        nn.Conv2d(48, 48, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 48, 3, padding=1),
        nn.Conv2d(48, 4, 3, padding=1),
        Upsample2D(48, use_conv=False),
        Upsample2D(48, use_conv_transpose=True),
        Upsample2D(48, use_conv=True, interpolate=False),
        Upsample2D(48, use_conv=True, norm_type="ln_norm"),
    ],
    ids=str,
)
def test_other_layers_are_left_alone(layer):
    holder = nn.Sequential(layer)
    winograd.use(holder)
    # The convolution inside of an upsampler may change, the upsampler itself must not.
    assert type(holder[0]) in (nn.Conv2d, Upsample2D)


@pytest.mark.parametrize("side", [3, 6, 12, 16])
def test_images_of_other_sizes_are_convolved_as_before(side):
    layer, doubling = nn.Conv2d(40, 33, 3, padding=1), Upsample2D(40, use_conv=True)
    x = torch.randn((20, 40, side, side), generator=torch.Generator().manual_seed(0))
    holder = nn.ModuleList([layer, doubling])
    with torch.no_grad():
        before = [layer(x), doubling(x)]
        winograd.use(holder)
        assert [type(part) for part in holder] == [winograd.Convolution, winograd.Doubling]
        after = [layer(x), doubling(x)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_embedded_denoiser_uses_it_and_learns_the_same(stock):
    """Its weights keep their names, and a loss has the gradients that diffusers gives it."""
    ours = model.load("digits")
    stock = stock.unet.eval()
    kinds = [type(layer) for layer in ours.unet.modules()]
    assert kinds.count(winograd.Convolution) == 17
    assert kinds.count(winograd.Doubling) == 1
    assert list(ours.unet.state_dict()) == list(stock.state_dict())
    draw = torch.Generator().manual_seed(0)
    noisy = torch.randn((16, *ours.latent_shape), generator=draw)
    conditioning = ours.embed(["a handwritten digit two", "", "a handwritten digit nine", ""] * 4)
    times = torch.tensor([1, 300, 700, 999] * 4)
    ours.unet.requires_grad_(True)
    stock.requires_grad_(True)
    ours.denoise(noisy, times, conditioning).square().mean().backward()
    stock(noisy, times, conditioning.hidden).sample.square().mean().backward()
    expected = {name: weight.grad for name, weight in stock.named_parameters()}
    for name, weight in ours.unet.named_parameters():
        size = expected[name].abs().max()
        # Gradients add 16 images of 64 pixels through some fifty layers of up to 864 products.
        apart = 4 * rounding.float32_error(1, (1024 * 50) ** 0.5)
        torch.testing.assert_close(weight.grad / size, expected[name] / size, rtol=0, atol=apart)


@pytest.mark.parametrize("shape", [(15, 40, 4, 4), (0, 40, 4, 4), (40, 4, 4)])
def test_few_images_are_convolved_as_before(shape):
    """A kernel at points has to be paid for by many images."""
    holder = nn.ModuleList([nn.Conv2d(40, 33, 3, padding=1)])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = holder[0](x)
    winograd.use(holder)
    assert torch.equal(holder[0](x), before)


def test_what_is_laid_around_the_convolution_of_an_upsampler_is_heard():
    """As peft does it: another layer takes its place and calls it."""

    class Louder(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer
            self.weight = layer.weight

        def forward(self, x):
            return 2 * self.layer(x)

    holder = nn.ModuleList([Upsample2D(40, use_conv=True)])
    x, _, _ = drawn(4, torch.float32)
    winograd.use(holder)
    with torch.no_grad():
        plain = holder[0](x)
        hook = holder[0].conv.register_forward_hook(lambda layer, given, y: 3 * y)
        # A layer with a hook convolves as before, without Winograd's products.
        size, operations = plain.abs().max().item(), 2 * 360**0.5
        apart = rounding.float32_error(3 * size, operations)
        torch.testing.assert_close(holder[0](x), 3 * plain, rtol=0, atol=apart)
        hook.remove()
        holder[0].conv = Louder(holder[0].conv)
        apart = rounding.float32_error(2 * size, operations)
        torch.testing.assert_close(holder[0](x), 2 * plain, rtol=0, atol=apart)


def test_drawing_first_does_not_spoil_learning():
    """Tensors that are made in inference mode take no part in gradients."""
    winograd._both_axes.cache_clear()
    x, weight, bias = drawn(8, torch.float64)
    with torch.inference_mode():
        winograd.convolve(x, weight, bias)
    winograd.convolve(x, weight.requires_grad_(), bias).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("kind", ["autocast", "bfloat16", "float64"])
def test_other_precisions_do_without(kind):
    """Half precision would lose its few digits in Winograd's differences."""
    layer = nn.Conv2d(40, 33, 3, padding=1)
    x, _, _ = drawn(4, torch.float32)
    if kind != "autocast":
        layer, x = layer.to(getattr(torch, kind)), x.to(getattr(torch, kind))
    holder = nn.ModuleList([layer])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        before = layer(x)
        winograd.use(holder)
        assert torch.equal(holder[0](x), before)
