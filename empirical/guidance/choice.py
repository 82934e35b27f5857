"""A scale for each image, drawn from a list."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from empirical.guidance._base import GuidanceRule, Levels, Scale
from empirical.seeds import seed_of


class Choice(GuidanceRule):
    """Each image has a constant scale, one of the list `among`, all equally likely.

    A scale that is listed twice is twice as likely. The choice is keyed by the image's seed, so
    that it is the same in any batch; counts in a finite population are therefore multinomial, not
    exact. Introduced here, for a chain whose images are drawn at mixed scales.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"among": [1.0, 2.5, 7.5]},)
    neutral: ClassVar[dict[str, Any] | None] = {"among": [1.0]}

    rule: Literal["choice"]
    among: Annotated[list[Scale], Field(min_length=1, max_length=1000)]

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        places = [seed_of("choice of guidance", seed) % len(self.among) for seed in seeds]
        scales = np.array(self.among, np.float64)[places]
        return np.broadcast_to(scales, (len(levels.progress), len(scales)))
