"""A denoiser that is exact: prompts are normal distributions of latents.

It stands in for `empirical.pipeline.model.Model` where a test wants to know the right answer, or to
count what the denoiser is asked.
"""

from types import SimpleNamespace

import diffusers
import torch

from empirical.conditioning import Conditioning
from empirical.seeds import seed_of

SHAPE = (2, 4, 4)
WORDS = (3, 5)


class Toy:
    """Latents of a prompt are N(m, variance), those of no prompt N(0, null_variance).

    m is linear in the prompt's embedding. It predicts noise, v or the clean image.
    """

    latent_shape = SHAPE
    device = torch.device("cpu")

    def __init__(self, predicts="epsilon", variance=0.5, null_variance=1.0, pooled=False):
        self.predicts, self.variance, self.null_variance = predicts, variance, null_variance
        self.pooled = pooled
        self.asked = []
        scheduler = diffusers.DDIMScheduler(
            beta_start=0.0015,
            beta_end=0.0195,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=True,
            timestep_spacing="trailing",
            prediction_type=predicts,
        )
        self.alphas = scheduler.alphas_cumprod
        self.pipeline = SimpleNamespace(scheduler=scheduler)

    def embed(self, captions):
        rows = []
        for caption in captions:
            key = torch.Generator().manual_seed(seed_of("toy", caption))
            rows.append(torch.randn(WORDS, generator=key) * (caption != ""))
        hidden = torch.stack(rows)
        return Conditioning(hidden, hidden[:, 0] if self.pooled else None)

    def denoise(self, latents, time, conditioning):
        self.asked.append(len(latents))
        assert len(conditioning) == len(latents)
        weights = torch.randn(15, 32, generator=torch.Generator().manual_seed(1)) / 15**0.5
        m = (conditioning.hidden.flatten(1) @ weights).view(-1, *SHAPE)
        if conditioning.pooled is not None:
            m = m + conditioning.pooled.sum(1).view(-1, 1, 1, 1)
        null = (conditioning.hidden == 0).all(dim=(1, 2)).view(-1, 1, 1, 1)
        V = torch.where(null, self.null_variance, self.variance)
        alpha = float(self.alphas[int(time)])
        a, s = alpha**0.5, (1 - alpha) ** 0.5
        clean = m + a * V / (a**2 * V + s**2) * (latents - a * m)
        noise = (latents - a * clean) / s
        return {"epsilon": noise, "v_prediction": a * noise - s * clean, "sample": clean}[
            self.predicts
        ]
