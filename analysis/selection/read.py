"""Read the draws of a run's generations as plain arrays.

Reads ``gen_NNN/features``, ``gen_NNN/draws``, and the pedigree ``gen_NNN/training.jsonl``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

from analysis.selection.draws import Draws, Sample
from analysis.selection.summaries import Summaries, Summary, of_prompts
from empirical.errors import UserError
from empirical.recipe import mostly_distinct
from empirical.runs import prompts as kept
from empirical.runs import training
from empirical.runs.draws import Draw, Name
from empirical.runs.record import Generation, Run

# Directions of these are many or arbitrary: their components are averaged.
_AVERAGED = ("latent", "classifier")
_SEPARATE = 16


def is_averaged(trait: str, components: int) -> bool:
    """Return whether a trait is described by averages over its components alone."""
    return trait in _AVERAGED or components > _SEPARATE


@dataclass(frozen=True)
class Measured:
    """A run whose generations were drawn without guidance too.

    Raises `UserError` where no generation after generation 0 was.
    """

    run: Run

    def __post_init__(self) -> None:
        if not self.numbers:
            raise UserError(
                f"the run '{self.run.folder}' has no unguided images of a generation, from which "
                f"selection is measured: `qtm measure {self.run.folder} unguided` draws them"
            )

    @cached_property
    def complete(self) -> list[Generation]:
        """The generations that are finished, generation 0 first."""
        return self.run.generations()

    @cached_property
    def numbers(self) -> list[int]:
        """The generations after generation 0 with unguided images."""
        return [g.number for g in self.complete if g.number and g.draw("unguided").complete]

    @cached_property
    def _draws(self) -> Mapping[int, Sequence[Name]]:
        return {g.number: g.draws() for g in self.complete}

    @cached_property
    def _captions(self) -> Mapping[int, list[str]]:
        return {g.number: g.captions for g in self.complete}

    @cached_property
    def distinct(self) -> bool:
        """Whether most prompts of the run have one image."""
        return mostly_distinct(self._captions[0])

    @cached_property
    def prompts(self) -> list[str]:
        """All prompts of the run; their codes are their places here."""
        return list(
            dict.fromkeys(text for captions in self._captions.values() for text in captions)
        )

    @cached_property
    def _codes(self) -> Mapping[str, int]:
        return {text: code for code, text in enumerate(self.prompts)}

    @cached_property
    def traits(self) -> list[str]:
        """The traits that all images have, of generations and of draws."""
        sets = [set(g.traits()) for g in self.complete]
        sets += [
            set(self.complete[number].draw(name).traits())
            for number, names in self._draws.items()
            for name in names
        ]
        return sorted(set.intersection(*sets))

    @cached_property
    def summarised(self) -> list[str]:
        """The traits of which no single images but moments of prompts are kept: the latents."""
        if kept.LATENT in self.traits:
            return []
        sets: list[tuple[Generation, Name | None]] = [(g, None) for g in self.complete]
        for generation in self.complete:
            for name in self._draws[generation.number]:
                sets.append((generation, name))
        for generation, name in sets:
            images = generation if name is None else generation.draw(name)
            if not (images.folder / kept.FILE).is_file():
                return []
            if kept.LATENT not in self._moments(generation.number, name).means:
                return []
        return [kept.LATENT]

    @property
    def offered(self) -> list[str]:
        """All traits of which selection can be measured, from images or from moments."""
        return [*self.summarised, *self.traits]

    def require(self, trait: str) -> None:
        """Raise `UserError` for a trait that some images lack."""
        if trait in self.offered:
            return
        known = sorted(set.union(*(set(g.traits()) for g in self.complete)))
        if trait in known:
            raise UserError(
                f"the trait '{trait}' of '{self.run.folder}' is not measured on its unguided "
                f"images, those that are: {', '.join(self.offered)}"
            )
        raise UserError(f"'{self.run.folder}' has no trait '{trait}', it has {', '.join(known)}")

    def guided(self, number: int, trait: str) -> Sample:
        """Return the images of a generation, with their replicates."""
        generation = self.complete[number]
        main = self._sample(generation.trait(trait), self._captions[number], generation, trait)
        return self._with_replicates(main, number, "replicate", trait)

    def unguided(self, number: int, trait: str) -> Sample | None:
        """Return the draws of a generation's model at scale 1 with their replicates; of generation
        0 those of the base model. None where it has none."""
        if "unguided" not in self._draws[number]:
            return None
        draw = self.complete[number].draw("unguided")
        main = self._sample(draw.trait(trait), draw.captions, draw, trait)
        return self._with_replicates(main, number, "unguided_replicate", trait)

    def draws(self, number: int, trait: str) -> Draws:
        """Return what a generation learnt from and drew.

        Raises `UserError` where guided and unguided images do not share prompts and seeds, where
        the training set is unknown, or where values are not finite.
        """
        self._require_pairs(number)
        unguided = self.unguided(number, trait)
        assert unguided is not None
        return Draws(
            self.guided(number - 1, trait),
            self.training(number, trait),
            unguided,
            self.guided(number, trait),
            self.unguided(0, trait),
            self.distinct,
        )

    def _moments(self, number: int, name: Name | None) -> kept.Prompts:
        key = (number, name)
        if key not in self._read:
            self._read[key] = kept.prompts_of_draw(self.complete[number], name)
        return self._read[key]

    @cached_property
    def _read(self) -> dict[tuple[int, Name | None], kept.Prompts]:
        return {}

    def summary(self, number: int, name: Literal["unguided"] | None = None) -> Summary | None:
        """Return the moments of prompts of a generation's latents, or of its draw at scale 1, with
        their replicates; None where there is no such draw."""
        if name is not None and name not in self._draws[number]:
            return None
        twin: Name = "replicate" if name is None else "unguided_replicate"
        has_twin = twin in self._draws[number] and not (number == 0 and name is None)
        more = self._moments(number, twin) if has_twin else None
        return of_prompts(self._moments(number, name), self._codes, more)

    def summaries(self, number: int) -> Summaries:
        """Return the moments of latents of what a generation learnt from and drew.

        Raises `UserError` where guided and unguided images do not share prompts and seeds.
        """
        self._require_pairs(number)
        previous, guided = self.summary(number - 1), self.summary(number)
        unguided = self.summary(number, "unguided")
        assert previous is not None
        assert guided is not None
        assert unguided is not None
        moments = self._moments(number, "unguided")
        order = np.argsort([self._codes[text] for text in moments.captions])
        pick = lambda values: None if values is None else values[order]
        return Summaries(
            previous,
            previous.realised() if self._replaced(number) else None,
            unguided,
            guided,
            self.summary(0, "unguided"),
            self.distinct,
            pick(moments.squares),
            pick(moments.paired),
        )

    def _replaced(self, number: int) -> bool:
        """Whether a generation learnt from the previous one, image by image."""
        generation, before = self.complete[number], self.complete[number - 1]
        if not (generation.folder / "training.jsonl").is_file():
            return self._replaces
        place = f"{before.folder.name}/images"
        names = sorted(row["file_name"] for row in generation.pedigree())
        return names == sorted(f"{place}/{row['file_name']}" for row in before.metadata())

    def training(self, number: int, trait: str) -> Sample:
        """Return the realised training set of a generation, by its pedigree."""
        generation = self.complete[number]
        if not (generation.folder / "training.jsonl").is_file():
            return self._assumed_training(number, trait)
        values = training.trait(self.run, number, trait)
        return self._sample(values, training.captions(self.run, number), generation, trait)

    @property
    def _replaces(self) -> bool:
        settings = self.run.recipe.settings
        filters = settings.remedy is not None and settings.remedy.name == "filter"
        return settings.finetune.training_set == "replace" and not filters

    def _assumed_training(self, number: int, trait: str) -> Sample:
        if not self._replaces:
            raise UserError(
                f"'{self.complete[number].folder}' has no training.jsonl: which images it learnt "
                f"from is unknown"
            )
        return self.guided(number - 1, trait).realised()

    def _sample(
        self,
        values: Float[np.ndarray, "n k"],
        captions: Sequence[str],
        source: Generation | Draw,
        trait: str,
    ) -> Sample:
        if len(values) != len(captions):
            raise UserError(
                f"'{source.folder}' has {len(values)} values of '{trait}' for its {len(captions)} "
                f"images: measure the trait again"
            )
        if not np.isfinite(values).all():
            raise UserError(f"'{trait}' has values in '{source.folder}' that are not finite")
        codes = [self._codes[text] for text in captions]
        return Sample(np.asarray(values, np.float64), np.asarray(codes, int))

    def _with_replicates(self, main: Sample, number: int, name: Name, trait: str) -> Sample:
        """Append replicates, which the guided and the unguided images have or neither has."""
        both = {"replicate", "unguided_replicate"} <= set(self._draws[number])
        base = number == 0 and name == "unguided_replicate" and name in self._draws[number]
        if not both and not base:
            return main
        draw = self.complete[number].draw(name)
        more = self._sample(draw.trait(trait), draw.captions, draw, trait)
        return Sample(
            np.concatenate([main.values, more.values]),
            np.concatenate([main.prompts, more.prompts]),
            len(more.values),
        )

    def _require_pairs(self, number: int) -> None:
        generation = self.complete[number]
        rows = [(row["text"], row.get("seed")) for row in generation.metadata()]
        pairs = [(rows, generation.draw("unguided"))]
        if {"replicate", "unguided_replicate"} <= set(self._draws[number]):
            replicate = generation.draw("replicate")
            rows = list(zip(replicate.captions, replicate.seeds, strict=True))
            pairs.append((rows, generation.draw("unguided_replicate")))
        for rows, draw in pairs:
            drawn = list(zip(draw.captions, draw.seeds, strict=True))
            same = len(rows) == len(drawn) and all(
                text == other and (seed is None or seed == twin)
                for (text, seed), (other, twin) in zip(rows, drawn, strict=True)
            )
            if not same:
                raise UserError(
                    f"'{draw.folder}' was not drawn with the prompts and seeds of the guided "
                    f"images: remove it, and `qtm measure {self.run.folder} unguided` draws it "
                    f"again"
                )
