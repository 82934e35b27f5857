"""Real data: a share of every training set are real images of generation 0."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from empirical.remedies._base import Remedy

if TYPE_CHECKING:
    from empirical.recipe import Recipe


class RealData(Remedy):
    """Each generation learns from the one before with the share `fraction` of it replaced by real
    images: migration, at rate `fraction`."""

    name: Literal["real_data"]
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2

    def settings(self, recipe: "Recipe") -> dict[str, Any]:
        return {"finetune.training_set": "mix", "finetune.real_fraction": self.fraction}
