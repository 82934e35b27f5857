"""Condition drop: finetuning sees the empty prompt in place of the caption now and then."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from empirical.remedies._base import Remedy


class ConditionDrop(Remedy):
    """With this probability a visit of an image trains the unconditional branch.

    That branch then follows the data instead of staying with the base, which shrinks the difference
    of the two that guidance multiplies.
    """

    name: Literal["condition_drop"]
    probability: Annotated[float, Field(gt=0, le=1)] = 0.2

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"finetune.condition_drop": self.probability}
