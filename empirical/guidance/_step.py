"""One evaluation of a denoiser, the input of a guidance rule. Only this file needs torch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from empirical.conditioning import Conditioning

Predict = Callable[
    [Float[Tensor, "n z y x"], Shaped[Tensor, ""], Conditioning], Float[Tensor, "n z y x"]
]


@dataclass(frozen=True)
class Step:
    """One visit of a sampler to a noise level, for n images.

    `x_t` [n, channels, height, width]: the latents sqrt(abar) x0 + sqrt(1 - abar) e, with abar =
    `alpha_cumprod`, at the model's `timestep`. `scales` [n]: the rule's `scales` at this level.
    `predicts`: "epsilon", "v_prediction" or "sample" (the clean image). `memory`: the rule's state,
    kept between the visits of one sampling call.

    `predict` is the denoiser and `weak` the model that replaces its unconditional prediction, if
    any; `conditional` (n prompts) and `null` (one) are their conditioning.
    """

    x_t: Float[Tensor, "n z y x"]
    timestep: Shaped[Tensor, ""]
    scales: Float[np.ndarray, " n"]
    alpha_cumprod: float
    predicts: str
    memory: dict[str, Float[Tensor, "n z y x"]]
    predict: Predict
    conditional: Conditioning
    null: Conditioning
    weak: Predict | None = None

    def pair(
        self, first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]
    ) -> tuple[Float[Tensor, "n z y x"], Float[Tensor, "n z y x"]]:
        """Return the conditional and the unconditional (or the weak model's) prediction [n, ...].

        The conditional one is computed for the images of the mask `first` [n], the other one for
        those of the mask `second` [n]. A prediction outside its mask is filled with its
        counterpart, so that their difference vanishes; each image must be in one mask at least.
        """
        of_first, of_second = self._rows(first), self._rows(second)
        x_c, x_u = self.x_t[of_first], self.x_t[of_second]
        conditioning = self.conditional[of_first]
        if self.weak is None:
            conditioning = Conditioning.cat([self.null.expand(len(x_u)), conditioning])
            answer = self.predict(torch.cat([x_u, x_c]), self.timestep, conditioning)
            e_u, e_c = answer.split([len(x_u), len(x_c)])
        else:
            e_c = self.predict(x_c, self.timestep, conditioning) if len(x_c) else x_c
            conditioning = self.conditional[of_second]
            e_u = self.weak(x_u, self.timestep, conditioning) if len(x_u) else x_u
        return self._filled(of_first, e_c, of_second, e_u), self._filled(
            of_second, e_u, of_first, e_c
        )

    def _rows(self, mask: Bool[np.ndarray, " n"]) -> slice | Int[Tensor, " m"]:
        """Return a mask [n] as an index that copies nothing where it is true everywhere."""
        if mask.all():
            return slice(None)
        return torch.from_numpy(np.flatnonzero(mask)).to(self.x_t.device)

    def _filled(
        self,
        rows: slice | Int[Tensor, " m"],
        given: Float[Tensor, "m z y x"],
        other_rows: slice | Int[Tensor, " k"],
        other: Float[Tensor, "k z y x"],
    ) -> Float[Tensor, "n z y x"]:
        """Return predictions of all images: `given` in its rows, `other` elsewhere."""
        if len(given) == len(self.x_t):
            return given
        full = torch.empty_like(self.x_t)
        full[other_rows] = other
        full[rows] = given
        return full

    def spread(self, values: Float[np.ndarray, " n"]) -> Float[Tensor, "n 1 1 1"]:
        """Return numbers [n] as a tensor [n, 1, 1, 1] beside the latents."""
        if len(values) and (values == values[0]).all():
            # Filled on the device: copying to a GPU would wait for all its queued work.
            return self.x_t.new_full((len(values), 1, 1, 1), float(values[0]))
        return self.x_t.new_tensor(values).view(-1, 1, 1, 1)

    def clean(self, prediction: Float[Tensor, "n z y x"]) -> Float[Tensor, "n z y x"]:
        """Return the clean image x0 that a prediction stands for.

        x0 = (x - s e) / a for noise e, a x - s v for v = a e - s x0; a = sqrt(abar),
        s = sqrt(1 - abar), x = `x_t`.
        """
        a, s = self.alpha_cumprod**0.5, (1 - self.alpha_cumprod) ** 0.5
        match self.predicts:
            case "epsilon":
                return (self.x_t - s * prediction) / a
            case "v_prediction":
                return a * self.x_t - s * prediction
            case _:
                return prediction

    def prediction(self, clean: Float[Tensor, "n z y x"]) -> Float[Tensor, "n z y x"]:
        """Return the prediction that stands for a clean image: the inverse of `clean`."""
        a, s = self.alpha_cumprod**0.5, (1 - self.alpha_cumprod) ** 0.5
        match self.predicts:
            case "epsilon":
                return (self.x_t - a * clean) / s
            case "v_prediction":
                return (a * self.x_t - clean) / s
            case _:
                return clean
