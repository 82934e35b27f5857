"""Filter: selection by hand, of the images that the next generation learns from."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int
from pydantic import Field

from empirical.remedies._base import Remedy, Trait


class Filter(Remedy):
    """Of every prompt's images keep the fraction with the highest, lowest, or middle trait values.

    At least one image of a prompt is kept. Truncation selection against whatever the chain does to
    that trait; `component` counts from 0.
    """

    name: Literal["filter"]
    trait: Annotated[str, Field(min_length=1)] = "sharpness"
    component: Annotated[int, Field(ge=0)] = 0
    keep: Literal["highest", "lowest", "middle"] = "middle"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def needed_trait(self) -> str:
        return self.trait

    def kept(self, trait: Trait, families: Sequence[str]) -> Int[np.ndarray, " m"]:
        values = trait(self.trait)[:, self.component]
        labels = np.asarray(families)
        chosen = []
        for family in dict.fromkeys(families):
            members = np.flatnonzero(labels == family)
            ranked = members[np.argsort(values[members], kind="stable")]
            count = max(1, round(self.fraction * len(ranked)))
            first = {"lowest": 0, "highest": len(ranked) - count}.get(
                self.keep, (len(ranked) - count) // 2
            )
            chosen.append(ranked[first : first + count])
        return np.sort(np.concatenate(chosen))
