"""The family model with a bound of images, confused prompts and saturation."""

from dataclasses import dataclass
from typing import ClassVar

from analysis.models._base import LINKS, Link, Parameter, Setting, Values
from analysis.models._parts import BOUND, COHERENCE, CONFUSION, Theory, at_levels, families
from analysis.models.family import GUIDED
from qtm import FamilyCycle

_BOUNDED = (*GUIDED, CONFUSION, BOUND)


@dataclass(frozen=True)
class BoundedFamily(Theory):
    """The family model under DDIM, V_B bounded by what images can hold, prompts confused."""

    theory: ClassVar[str] = "bounded family"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = _BOUNDED

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        x = self.excess(values, setting.scales, setting)
        return families(values, setting, at_levels(values, setting, x))


@dataclass(frozen=True)
class LateGuidance(Theory):
    """The bounded family whose guidance acts late: w - 1 is scaled by 1/(1 + t/t_late) at the
    noise variance t."""

    theory: ClassVar[str] = "late guidance"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = (
        *_BOUNDED,
        Parameter(
            "late", "noise variance below which guidance acts, in units of the leading axes",
            "positive", 1e-3, 1e4, 3.0, 1.0,
            "arms in which the guidance scale changes while sampling",
        ),
    )  # fmt: skip

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        x = self.excess(values, setting.scales, setting)
        return families(values, setting, at_levels(values, setting, x, late=values["late"]))


@dataclass(frozen=True)
class BoundedMixture(Theory):
    """The bounded Gaussian mixture, its moments closed.

    At low noise an image shows its prompt, so conditional and unconditional score agree. With the
    distance D(t) = separation mean_j V_B,j/(V_W,j + t_j) of C prompts at the noise level, the
    fraction g = C/(C - 1 + e^D) of the scale beyond 1 acts there: w - 1 = g x(scale). The families
    themselves saturate guidance: the further apart, the weaker it is. With the link ``exact``
    nothing else weakens it.
    """

    theory: ClassVar[str] = "bounded mixture"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = (
        *_BOUNDED,
        Parameter(
            "separation", "independent axes that distinguish prompts",
            "positive", 1e-3, 1e3, 2.0, 1.0, "arms with CFG scales between 1 and 5",
        ),
    )  # fmt: skip
    links: ClassVar[tuple[Link, ...]] = ("exact", *LINKS)

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        x = self.excess(values, setting.scales, setting)
        ending = {"separation": values["separation"], "prompts": setting.families}
        return families(values, setting, at_levels(values, setting, x, **ending))


@dataclass(frozen=True)
class LogLinear(Theory):
    """The bounded family's first order, each part with a separate strength.

    ln V_W' = ln V_W - x(w) ln(V_U/V_W),  V_B' = (1 + spread x(w))^2 V_B,  w the mean over levels.
    """

    theory: ClassVar[str] = "log-linear"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = (
        *(p for p in _BOUNDED if p is not COHERENCE),
        Parameter(
            "spread", "effect of guidance between families relative to that within them",
            "positive", 1e-3, 50.0, 1.0, 1.0, "arms with CFG scales other than 1",
        ),
    )  # fmt: skip

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        w = 1 + self.excess(values, setting.scale, setting)
        return families(values, setting, w, response_slope=values["spread"])
