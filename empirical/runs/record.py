"""Read a run. The folder is the interface: nothing here needs torch or the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from empirical import files
from empirical.errors import UserError
from empirical.recipe import MeasureTable, Recipe, mostly_distinct, read
from empirical.runs import moments
from empirical.runs.draws import NAMES, Draw, Measured, Name, replicates_of


@dataclass(frozen=True)
class Generation(Measured):
    """One generation's folder, ``gen_000`` and so on; number 0 is the real data set."""

    number: int

    @property
    def done(self) -> bool:
        """Whether the generation is complete: ``done.json`` is written last."""
        return (self.folder / "done.json").is_file()

    def metadata(self) -> list[dict[str, Any]]:
        """Return one row for each image: file_name, text, generation, and seed."""
        return files.read_json_lines(self.folder / "images" / "metadata.jsonl")

    @property
    def captions(self) -> list[str]:
        """The prompt of each image; equal prompts are one family."""
        return [row["text"] for row in self.metadata()]

    def images(self, indices: Sequence[int] | None = None) -> UInt8[np.ndarray, "n h w c"]:
        """Return images [n, height, width, channels] (uint8), all or the chosen ones."""
        names = [row["file_name"] for row in self.metadata()]
        chosen = range(len(names)) if indices is None else indices
        return np.stack([files.read_image(self.folder / "images" / names[i]) for i in chosen])

    def probes(self) -> UInt8[np.ndarray, "n h w c"]:
        """Return the probe images: the same prompts and seeds in every generation.

        Those of generation 0 come from the base model, before any finetuning.
        """
        paths = files.visible(self.folder / "probes", "*.png")
        return np.stack([files.read_image(path) for path in paths])

    def pedigree(self) -> list[dict[str, Any]]:
        """Return the training set of the generation, a row for each image: generation (0 is
        real), file_name below the run's folder, text. Generation 0 has none."""
        return files.read_json_lines(self.folder / "training.jsonl")

    def draw(self, name: Name) -> Draw:
        """Return images of this generation's model that were drawn only to be measured, whether
        they exist yet or not."""
        return Draw(self.folder / "draws" / name, name)

    def draws(self) -> list[Name]:
        """Return the names of the draws that are complete."""
        return [name for name in NAMES if self.draw(name).complete]

    def replicates(self) -> moments.Replicates | None:
        """Return further images of the prompts, where any were drawn; of generation 0, whose
        images are real, two draws of the base model without guidance."""
        names = ("unguided", "unguided_replicate") if self.number == 0 else ("replicate",)
        return replicates_of([self.draw(name) for name in names], of_base=self.number == 0)

    def metrics(self) -> dict[str, Any]:
        """Return accuracy, Fréchet distance and diversity, and how each was measured."""
        return files.read_json(self.folder / "metrics.json")

    def loss(self) -> pd.DataFrame:
        """Return the finetuning loss: step, loss, gradient_norm. Generation 0 has none."""
        return files.read_table(self.folder / "loss.csv")


@lru_cache(maxsize=1024)
def _recipe(path: Path, *state: int) -> Recipe:
    # A relative path names different files in different folders, so the state is part of the key.
    return _as_begun(read(path))


def _as_begun(recipe: Recipe) -> Recipe:
    """Return the recipe of a run: what was begun before there was a table ``[measure]`` draws
    nothing of it."""
    if "measure" in recipe.model_fields_set:
        return recipe
    return recipe.model_copy(update={"measure": MeasureTable.off()})


@dataclass(frozen=True)
class Run:
    """A run folder, finished or not."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def recipe(self) -> Recipe:
        """The recipe as written; read again only after its file has been rewritten."""
        path = self.folder / "recipe.toml"
        try:
            state = path.stat()
        except OSError:
            return _as_begun(read(path))
        return _recipe(path, state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size)

    def generation(self, number: int) -> Generation:
        """Return a generation, whether it exists yet or not."""
        return Generation(self.folder / f"gen_{number:03d}", number)

    def generations(self) -> list[Generation]:
        """Return the complete generations, in order, up to the first incomplete one."""
        complete = []
        for number in range(self.recipe.generations + 1):
            generation = self.generation(number)
            if not generation.done:
                break
            complete.append(generation)
        return complete

    def warnings(self) -> list[str]:
        """Return the warnings about the captions that the sessions of the run began with, each
        once; none of runs of earlier versions, which did not record them."""
        path = self.folder / "provenance.json"
        sessions = files.read_json(path).get("sessions", []) if path.is_file() else []
        return list(dict.fromkeys(text for row in sessions for text in row.get("warnings", [])))

    def moments(self) -> pd.DataFrame:
        """Return ``moments.csv``: generation, feature, component, n, mean, variance, within,
        between, how (see `empirical.runs.moments`)."""
        return files.read_table(self.folder / "moments.csv")

    def rebuild_moments(self) -> pd.DataFrame:
        """Recompute the moments from the stored traits, and write ``moments.csv``."""
        generations = self.generations()
        # Resampled prompts have several images by chance: the run as a whole decides.
        distinct = mostly_distinct(generations[0].captions)
        frames = [
            moments.table(
                g.number,
                {name: g.trait(name) for name in g.traits()},
                g.captions,
                g.replicates(),
                distinct,
            )
            for g in generations
        ]
        table = pd.DataFrame(pd.concat(frames, ignore_index=True))
        # Seventeen digits restore every float64.
        files.write_text(
            self.folder / "moments.csv", table.to_csv(index=False, float_format="%.17g")
        )
        return table

    def metrics(self) -> pd.DataFrame:
        """Return the metrics of every complete generation, a row each."""
        return pd.DataFrame([{"generation": g.number, **g.metrics()} for g in self.generations()])


def open_run(folder: Path) -> Run:
    """Open a run folder; raise `UserError` where there is no run, or no complete generation."""
    if not (folder / "recipe.toml").is_file():
        raise UserError(f"'{folder}' is not the folder of a run: it has no recipe.toml")
    run = Run(folder)
    if not run.generations():
        raise UserError(f"the run '{folder}' has no complete generation yet")
    return run
