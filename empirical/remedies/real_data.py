"""Real data: a fraction of every training set is real images of generation 0."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from empirical.remedies._base import Remedy


class RealData(Remedy):
    """Each generation learns from the one before with a `fraction` of it replaced by real
    images: migration, at rate `fraction`."""

    name: Literal["real_data"]
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"finetune.training_set": "mix", "finetune.real_fraction": self.fraction}
