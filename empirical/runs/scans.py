"""Read a scan: one finetuned model, drawn at several CFG scales with the same prompts and seeds.

The folder is the interface, as with runs: ``scan.json`` names scales and generations, each
``gen_NNN`` has the draws ``training`` (the realised training set), ``scale=W`` and, where most
captions are distinct, ``scale=W,replicate``.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from empirical import files
from empirical.errors import UserError
from empirical.runs.draws import Draw
from empirical.runs.record import Run

FILE = "scan.json"
TRAINING = "training"


def draw_name(scale: float, replicate: bool = False) -> str:
    """Return the name of the draw at a scale: ``scale=1.25``, or ``scale=1.25,replicate``."""
    return f"scale={scale:g}{',replicate' if replicate else ''}"


@dataclass(frozen=True)
class Scan:
    """The folder of a scan, complete or not."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def run(self) -> Run:
        """The folder as a run: its recipe, its real images and the base model's draws."""
        return Run(self.folder)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The scales, generations and replicates of the scan."""
        return files.read_json(self.folder / FILE)

    @property
    def scales(self) -> tuple[float, ...]:
        """CFG scales, ascending."""
        return tuple(self.plan["scales"])

    @property
    def generations(self) -> tuple[int, ...]:
        """Numbers of the generations whose models are drawn."""
        return tuple(self.plan["generations"])

    @property
    def replicates(self) -> int:
        """Number of further images of each prompt, at every scale."""
        return self.plan["replicates"]

    def training(self, generation: int) -> Draw:
        """Return the images that a generation learnt from."""
        return self._draw(generation, TRAINING)

    def draw(self, generation: int, scale: float) -> Draw:
        """Return the images of a generation's model at a scale, one for each caption and seed."""
        return self._draw(generation, draw_name(scale))

    def replicate(self, generation: int, scale: float) -> Draw:
        """Return further images of the same prompts, with other seeds."""
        return self._draw(generation, draw_name(scale, replicate=True))

    def base(self) -> tuple[Draw, ...]:
        """Return the draws of the base model without guidance, with the prompts of generation 0."""
        first = self.run.generation(0)
        draws = (first.draw("unguided"), first.draw("unguided_replicate"))
        return tuple(draw for draw in draws if draw.complete)

    def quality(self, generation: int, scale: float) -> dict[str, Any]:
        """Return accuracy, Fréchet distance and diversity of a draw, as a run's ``metrics.json``
        has them."""
        return files.read_json(self.draw(generation, scale).folder / "metrics.json")

    def images(self, generation: int, scale: float) -> UInt8[np.ndarray, "n h w c"]:
        """Return the first images of a draw, which a scan keeps for contact sheets."""
        folder = self.draw(generation, scale).folder / "images"
        return np.stack([files.read_image(path) for path in files.visible(folder, "*.png")])

    @property
    def complete(self) -> bool:
        """Whether everything planned is drawn and measured."""
        if not (self.folder / FILE).is_file():
            return False
        names = [TRAINING, *(draw_name(w) for w in self.scales)]
        if self.replicates:
            names += [draw_name(w, replicate=True) for w in self.scales]
        return all(self._draw(t, name).complete for t in self.generations for name in names)

    def _draw(self, generation: int, name: str) -> Draw:
        return Draw(self.run.generation(generation).folder / "draws" / name, name)


def open_scan(folder: Path) -> Scan:
    """Open the folder of a scan; raise `UserError` where there is none, or it is not complete."""
    scan = Scan(folder)
    if not (folder / FILE).is_file():
        raise UserError(f"'{folder}' is not the folder of a scan: it has no {FILE}")
    if not scan.complete:
        raise UserError(f"the scan '{folder}' is not complete: run its command again to resume it")
    return scan
