"""Convolutions of small images with fewer products (Winograd).

A 3 x 3 convolution is linear in its image x and in its kernel w, so it can be written as
y = A [(G w) * (B x)] with constant matrices A, B, G and a product at each of P points. Along one
axis, 4 outputs of 3 taps need 6 products instead of 12 (Lavin & Gray 2015, arXiv 1509.09308), so a
4 x 4 image needs 36 instead of 144; the padding is zero and drops out of B. Doubling an image by
repeating its pixels and then convolving it is two convolutions of 2 taps an axis, one for even and
one for odd outputs: 100 products instead of 576. With channels, each product is one of matrices,
and A, B and G cost little in comparison as long as pixels are few and channels many.

The results are those of the plain convolution up to rounding, whose error is about twice as large
in float32; half precision would lose too much.
"""

import math
from functools import cache

import numpy as np
import torch
from diffusers.models.upsampling import Upsample2D
from jaxtyping import Float, Shaped
from torch import Tensor, nn

# Points at which the underlying polynomials are evaluated, besides infinity. Any will do; of those
# tried these rounded least: 1.9 and 1.1 times the error of a plain convolution, channels last.
_POINTS = {3: (0.0, -0.625, 0.625, -1.5, 1.5), 2: (-0.375, 0.375, -1.25, 1.25)}
_TILE, _TAPS, _ENOUGH = 4, 3, 16
# Which taps apply to which inputs of an output. In a doubled image, the last two taps of an
# even output and the first two of an odd output apply to the same pixel.
_SAME = (np.eye(_TAPS),)
_DOUBLED = (np.array([[1, 0, 0], [0, 1, 1]]), np.array([[1, 1, 0], [0, 0, 1]]))
Axis = tuple[
    Float[np.ndarray, "t p side"] | Float[np.ndarray, "p p"],
    Float[np.ndarray, "p taps"],
    Float[np.ndarray, "outputs p"],
]
Matrices = tuple[Float[Tensor, "tp hh"], Float[Tensor, "p 9"], Float[Tensor, "outputs p"]]


def use(denoiser: nn.Module) -> None:
    """Have a denoiser of diffusers convolve this way where it is faster.

    Names and weights are unchanged, and so are results in other precisions and on a GPU.
    """
    for layer in denoiser.modules():
        if type(layer) is nn.Conv2d and _is_plain(layer):
            layer.__class__ = Convolution
        elif type(layer) is Upsample2D and _doubles(layer):
            layer.__class__ = Doubling


def is_used(denoiser: nn.Module) -> bool:
    """Return whether any layer of a denoiser convolves this way."""
    return any(isinstance(layer, Convolution | Doubling) for layer in denoiser.modules())


def _is_plain(layer: nn.Conv2d) -> bool:
    """Return whether a layer convolves 3 x 3 pixels with enough channels for matrix products."""
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return (
        shape == ((3, 3), (1, 1), (1, 1), (1, 1))
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and min(layer.in_channels, layer.out_channels) >= 32
    )


def _doubles(layer: Upsample2D) -> bool:
    """Return whether a layer only repeats pixels and then convolves them."""
    conv = getattr(layer, "conv", None)
    convolved = isinstance(conv, nn.Conv2d) and _is_plain(conv)
    return convolved and layer.interpolate and layer.norm is None


class Convolution(nn.Conv2d):
    """A 3 x 3 convolution, by Winograd's products for images of 4 x 4 and 8 x 8 pixels."""

    def forward(self, x: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n k h w"]:
        """Map [n, c, h, w] to [n, c', h, w]."""
        if _is_suited(x, 4, 8):
            return convolve(x, self.weight, self.bias)
        return super().forward(x)


class Doubling(Upsample2D):
    """Doubling of an image and a convolution, fused for images of 4 x 4 pixels."""

    def forward(
        self,
        hidden_states: Float[Tensor, "n c h w"],
        output_size: int | None = None,
        *args: object,
        **kwargs: object,
    ) -> Float[Tensor, "n k h2 w2"]:
        """Map [n, c, h, w] to [n, c', 2 h, 2 w]."""
        # A layer that wraps or replaces the convolution is called instead.
        plain = isinstance(self.conv, Convolution) and not self.conv._forward_hooks
        if plain and _is_suited(hidden_states, 4) and output_size is None:
            return convolve(hidden_states, self.conv.weight, self.conv.bias, doubled=True)
        return super().forward(hidden_states, output_size, *args, **kwargs)


def _is_suited(x: Shaped[Tensor, "..."], *sides: int) -> bool:
    """Return whether images have few enough pixels, are enough to pay for the transform of the
    kernel, and are float32 on a CPU."""
    return (
        x.ndim == 4
        and len(x) >= _ENOUGH
        and x.shape[-1] == x.shape[-2]
        and x.shape[-1] in sides
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    )


def convolve(
    x: Float[Tensor, "n c h h"],
    weight: Float[Tensor, "k c 3 3"],
    bias: Float[Tensor, " k"] | None,
    *,
    doubled: bool = False,
) -> Float[Tensor, "n k side side"]:
    """Convolve images [n, c, h, h] of a side that 4 divides, padded with zeros, with a kernel
    [c', c, 3, 3]; return [n, c', h, h], channels last. With `doubled`, every pixel is first
    repeated twice along each axis: [n, c', 2 h, 2 h]. Float32 or float64."""
    (count, channels, side, _), out = x.shape, len(weight)
    inputs, taps, outputs = _matrices(side, doubled, x.dtype)
    points, tiles, span = len(taps), side // _TILE, math.isqrt(len(outputs))
    at_points = torch.matmul(inputs, x.permute(0, 2, 3, 1).reshape(count, -1, channels))
    kernel = taps @ weight.permute(2, 3, 1, 0).reshape(_TAPS**2, -1)
    # Tiles share the kernel: there is a row for each tile of each image.
    rows = at_points.view(-1, points, channels).transpose(0, 1)
    products = torch.bmm(rows, kernel.view(points, channels, out))
    y = torch.matmul(outputs, products.transpose(0, 1)).view(count, tiles, tiles, span, span, out)
    side = tiles * span
    y = y.transpose(2, 3).reshape(count, side, side, out)
    if bias is not None:
        y = y + bias
    return y.permute(0, 3, 1, 2)


@torch.compiler.assume_constant_result
def _matrices(side: int, doubled: bool, dtype: torch.dtype) -> Matrices:
    """Return B [T p, h h] for T tiles of p points, and of each tile G [p, 9] and A [outputs, p]."""
    return _both_axes(side, doubled, dtype)


@cache
def _both_axes(side: int, doubled: bool, dtype: torch.dtype) -> Matrices:
    inputs, taps, outputs = _axis(side, doubled)
    both = (
        np.einsum("api,bqj->abpqij", inputs, inputs).reshape(-1, side**2),
        np.kron(taps, taps),
        np.kron(outputs, outputs),
    )
    # Tensors made in inference mode could not serve in training later.
    with torch.inference_mode(False):
        return tuple(torch.from_numpy(np.ascontiguousarray(matrix)).to(dtype) for matrix in both)


def _axis(side: int, doubled: bool) -> Axis:
    """Return the matrices of one axis: of inputs B [T, p, side] for T tiles of p points, and of
    each tile G [p, 3] and A [outputs, p]. Inputs outside the image are zero."""
    phases = _DOUBLED if doubled else _SAME
    parts = [_tile(len(seen)) for seen in phases]
    taps = [at_taps @ seen for (_, at_taps, _), seen in zip(parts, phases, strict=True)]
    tiles, points = side // _TILE, sum(map(len, taps))
    inputs = np.zeros((tiles, points, side))
    outputs = np.zeros((_TILE, len(phases), points))
    padded = np.eye(side + 2)[:, 1:-1]
    last = 0
    for phase, (at_inputs, _, at_outputs) in enumerate(parts):
        first, last = last, last + len(at_inputs)
        outputs[:, phase, first:last] = at_outputs
        for tile in range(tiles):
            window = padded[_TILE * tile + phase :][: len(at_inputs)]
            inputs[tile, first:last] = at_inputs @ window
    return inputs, np.concatenate(taps), outputs.reshape(-1, points)


def _tile(taps: int) -> Axis:
    """Return B [p, p], G [p, taps] and A [4, p] of 4 outputs, each a sum of taps times inputs.

    The product of polynomials a of degree 3 and g of degree taps - 1 is known from its values at
    3 + taps points: V (a g) = (V_4 a) * (V_taps g), where V_k holds powers below k of each point,
    and the highest coefficient at infinity. Its transpose is y = V_4' [(V_taps g) * (V^-1' x)].
    """
    points = np.array(_POINTS[taps])

    def powers(count: int) -> Float[np.ndarray, "p {count}"]:
        return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]])

    at_inputs = np.linalg.inv(powers(len(points) + 1)).T
    scale = np.abs(at_inputs).max(1, keepdims=True)
    return at_inputs / scale, powers(taps) * scale, powers(_TILE).T
