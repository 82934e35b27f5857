"""Latent noise: explicit mutation of what a generation learns from."""

from typing import Annotated, Literal

from pydantic import Field

from empirical.remedies._base import Remedy


class LatentNoise(Remedy):
    """The latents of each training image get N(0, deviation^2) once a generation: mutation of
    variance V_m = deviation^2, in units of the denoiser's latents."""

    name: Literal["latent_noise"]
    deviation: Annotated[float, Field(gt=0, le=10)] = 0.1

    def latent_noise(self) -> float:
        return self.deviation
