"""Chains of Diffusion: finetune a diffusion model on its own images, again and again, and measure.

Reading a finished run (`empirical.runs`) needs neither torch nor diffusers; running one needs the
extra ``chain``: ``Chain(Recipe(generations=3), out).run()``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from empirical.chain.loop import Chain as Chain
    from empirical.recipe import Recipe as Recipe

__all__ = ["Chain", "Recipe"]


def __getattr__(name: str) -> Any:
    # Only who asks for a chain loads torch.
    if name == "Chain":
        from empirical.chain.loop import Chain

        return Chain
    if name == "Recipe":
        from empirical.recipe import Recipe

        return Recipe
    raise AttributeError(f"module 'empirical' has no attribute '{name}'")
