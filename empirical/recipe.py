"""Recipes: the TOML files that say what a chain does, validated before anything runs.

`Recipe` is a recipe as written, `Settings` the effective one, with the changes of its remedy.
Files, names and comparisons of runs take a `Recipe`; finetuning, sampling and fits take
`Settings`.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, Union

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from empirical import embedded, files
from empirical.errors import UserError
from empirical.guidance import GuidanceRule
from empirical.keys import flatten
from empirical.recipe_errors import sentence
from empirical.remedies import Remedy

Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
_Kind = TypeVar("_Kind", bound="_Chain")


# The layers of a denoiser of Stable Diffusion that an adapter changes, by the ends of their names.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2")
# Settings of how a machine computes, which change images by rounding alone.
COMPUTING = (
    "model.compile", "model.reproducible", "finetune.micro_batches",
    "finetune.gradient_checkpointing", "generate.batch_size",
)  # fmt: skip


def _any_of(base: type[BaseModel]) -> Any:
    return reduce(lambda a, b: Union[a, b], base.__subclasses__())  # noqa: UP007


# Every rule and every remedy is a member of a union that one key discriminates.
Guidance = Annotated[_any_of(GuidanceRule), Field(discriminator="rule")]
AnyRemedy = Annotated[_any_of(Remedy), Field(discriminator="name")]


class _Table(BaseModel):
    # The docstring below a key is its description, from which the recipe reference is made.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class ModelTable(_Table):
    """The model: an embedded one, a folder of a diffusers pipeline, or a hub id; and how the
    denoiser computes."""

    name: Name = "digits"
    """An embedded model, the folder of a diffusers pipeline, or a hub id."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the denoiser; weights that learn stay in float32."""
    compile: bool = False
    """Whether the denoiser is compiled by `torch.compile`: minutes once, then up to a fifth
    faster."""
    reproducible: bool = True
    """Whether a GPU takes only algorithms that give the same bits twice."""


class DataTable(_Table):
    """The real images of generation 0: an embedded set, folders, or data sets of the hub
    (``hub:owner/name``), and their number."""

    name: Name | Annotated[list[Name], Field(min_length=1)] = "digits"
    """An embedded set, a folder of images with captions, a saved data set, or ``hub:owner/name``;
    or a list of several."""
    size: Annotated[int, Field(ge=2)] = 500
    """Number of real images, and of the images that every generation draws."""
    prompts: Literal["same", "resampled"] = "same"
    """Whether every generation draws the captions of generation 0, or a fresh sample of them with
    replacement."""
    caption_column: Name | None = None
    """Column of tables that holds the captions; by default the first of text, caption and
    prompt."""

    @property
    def names(self) -> list[str]:
        """The data sets, one or several."""
        return [self.name] if isinstance(self.name, str) else self.name


class FinetuneTable(_Table):
    """How a generation is finetuned, and on which images."""

    method: Literal["lora", "full"] = "lora"
    """A low-rank adapter, or all weights of the denoiser."""
    rank: Positive = 8
    """Rank of the adapter."""
    targets: Annotated[list[Name], Field(min_length=1)] = list(TARGETS)
    """Ends of the names of the layers that the adapter changes."""
    text_encoder: bool = False
    """Whether the text encoder is finetuned too."""
    steps: Positive = 200
    """Optimiser steps in each generation."""
    batch_size: Positive = 64
    """Images in a step."""
    micro_batches: Positive = 1
    """Number of parts into which a batch is divided, to save memory."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, to save memory."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """Learning rate of the optimiser."""
    start_from: Literal["base", "previous"] = "base"
    """The model that each generation finetunes: the base model, or that of the previous
    generation."""
    training_set: Literal["replace", "accumulate", "accumulate-subsample", "mix", "real"] = (
        "replace"
    )
    """The images of the previous generation (replace), of all so far (accumulate), as many of those
    as generation 0 has (accumulate-subsample), the previous ones with a fraction of real images
    (mix), or freshly drawn real images (real, the control)."""
    real_fraction: Fraction = 0.0
    """Fraction of real images in a mix."""
    condition_drop: Fraction = 0.0
    """Probability with which finetuning replaces a caption by the empty prompt."""

    @model_validator(mode="after")
    def _settings_fit_together(self) -> "FinetuneTable":
        if self.training_set != "mix" and self.real_fraction > 0:
            raise PydanticCustomError(
                "said",
                "'finetune.real_fraction' is {fraction}, which needs "
                "'finetune.training_set' = 'mix', but that is '{kind}'",
                {"fraction": self.real_fraction, "kind": self.training_set},
            )
        if self.training_set == "mix" and self.real_fraction == 0:
            raise PydanticCustomError(
                "said",
                "'finetune.real_fraction' is 0, it must be above 0 where "
                "'finetune.training_set' is 'mix'",
            )
        if self.micro_batches > self.batch_size:
            raise PydanticCustomError(
                "said",
                "'finetune.micro_batches' is {parts}, it must be at most 'finetune.batch_size', "
                "which is {batch}",
                {"parts": self.micro_batches, "batch": self.batch_size},
            )
        return self


class GenerateTable(_Table):
    """How a generation draws its images."""

    guidance: Guidance = Field(  # type: ignore[valid-type]
        default_factory=lambda: {"rule": "constant", "scale": 7.5}, validate_default=True
    )
    """A guidance rule with its settings."""
    sampler: Literal["ddim", "ddpm", "dpm++", "euler", "euler_ancestral", "heun", "unipc"] = "ddim"
    """Sampler of diffusers."""
    steps: Positive = 20
    """Sampling steps."""
    batch_size: Positive = 250
    """Images that are drawn at a time."""


class MeasureTable(_Table):
    """Images that each generation draws in addition, only to be measured; no other number
    changes."""

    unguided: bool = True
    """Whether prompts and seeds of the generation are drawn again, at scale 1."""
    replicates: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """Further images of each prompt, at the scale of the chain and, with `unguided`, at scale 1.
    "auto" is 1 where captions are mostly distinct, else 0, and is resolved at the start of a
    run."""
    unguided_images: bool = False
    """Whether these images are kept, not only their traits."""

    @classmethod
    def off(cls) -> Self:
        """Return the table that draws nothing."""
        return cls(unguided=False, replicates=0)

    @property
    def replicate_count(self) -> int:
        """The number of further images of each prompt; 0 for "auto", before it is resolved."""
        return 0 if self.replicates == "auto" else self.replicates

    def resolved(self, captions: Sequence[str]) -> Self:
        """Return the table with the number that "auto" is for these captions."""
        if self.replicates != "auto":
            return self
        return self.model_copy(update={"replicates": int(mostly_distinct(captions))})


def mostly_distinct(captions: Sequence[str]) -> bool:
    """Return whether most captions are of one image, so that families do not show V_W."""
    families = Counter(captions)
    return 2 * sum(count == 1 for count in families.values()) > len(captions)


class _Chain(_Table):
    """The tables that `Recipe` and `Settings` have in common."""

    generations: Positive = 6
    """Number of generations after the real images."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all random numbers of the chain."""
    model: ModelTable = ModelTable()
    data: DataTable = DataTable()
    finetune: FinetuneTable = FinetuneTable()
    generate: GenerateTable = Field(default_factory=GenerateTable)
    remedy: AnyRemedy | None = None  # type: ignore[valid-type]
    measure: MeasureTable = MeasureTable()

    def flat(self) -> dict[str, Any]:
        """Return every value by its dotted key, such as ``{"finetune.steps": 200}``."""
        return flatten(self.model_dump())

    def experiment(self) -> dict[str, Any]:
        """Return the tables, as JSON has them, without settings of how a machine computes."""
        tables = self.model_dump(mode="json")
        for key in COMPUTING:
            table, _, name = key.partition(".")
            tables[table].pop(name)
        return tables


class Settings(_Chain):
    """The effective settings of a recipe, with those that its remedy changes.

    `remedy` stays for its effects on latents and training sets.
    """


class Recipe(_Chain):
    """A chain as written. Missing tables and keys take the defaults of their fields."""

    @cached_property
    def settings(self) -> Settings:
        """The effective settings; `UserError` where the remedy makes them invalid."""
        if self.remedy is None:
            return Settings(**{name: getattr(self, name) for name in type(self).model_fields})
        table = self.model_dump()
        for key, value in self.remedy.settings(self._read_by(self.remedy)).items():
            *tables, last = key.split(".")
            reduce(dict.__getitem__, tables, table)[last] = value
        return _validated(Settings, table, f"the recipe with the remedy '{self.remedy.name}'")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; its effective settings are derived again."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("settings", None)
        return copy

    def _read_by(self, remedy: Remedy) -> dict[str, Any]:
        """Return the values of the keys that a remedy reads."""
        return {key: reduce(getattr, key.split("."), self) for key in remedy.reads}

    @model_validator(mode="after")
    def _no_setting_of_the_remedy_is_written(self) -> "Recipe":
        if self.remedy is None:
            return self
        for key, value in self.remedy.settings(self._read_by(self.remedy)).items():
            table, _, name = key.partition(".")
            written = getattr(self, table)
            given = getattr(written, name)
            default = type(written).model_fields[name].default
            if key not in self.remedy.reads and given not in (default, value):
                raise PydanticCustomError(
                    "said",
                    "'{key}' is {given}, but the remedy '{remedy}' sets it to {value}: leave it "
                    "out",
                    {"key": key, "given": given, "value": value, "remedy": self.remedy.name},
                )
        return self


def read(path: Path) -> Recipe:
    """Read and validate a recipe file; raise `UserError` that names every wrong key and value."""
    try:
        text = files.read_text(path)
    except FileNotFoundError:
        raise UserError(f"there is no recipe '{path}'") from None
    except (OSError, UserError) as error:
        raise UserError(f"the recipe '{path}' cannot be read as a text file: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the recipe '{path}' is not valid TOML: {error}") from error
    return parse(table, f"the recipe '{path}'")


def parse(table: dict[str, Any], what: str = "the recipe") -> Recipe:
    """Validate a recipe given as a dictionary; `what` names it in the error."""
    return _validated(Recipe, table, what)


def _validated(kind: type[_Kind], table: dict[str, Any], what: str) -> _Kind:
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        wrong = "; ".join(sentence(dict(item), kind) for item in error.errors())
        raise UserError(f"{what} is wrong: {wrong}") from None


def dump(recipe: Recipe) -> str:
    """Write a recipe as TOML with every key, so that a changed default changes no run."""
    return tomli_w.dumps(recipe.model_dump(exclude_none=True))


def differences(theirs: Recipe, ours: Recipe) -> list[str]:
    """List the settings in which two recipes are different experiments.

    A run may be longer: generations depend on seed and number alone. Its images may lie in another
    folder; `empirical.data.recorded` compares them. What is measured changes no experiment.
    """
    their_values, our_values = theirs.flat(), ours.flat()
    for key in ["generations", *(f"measure.{name}" for name in MeasureTable.model_fields)]:
        their_values[key] = our_values[key]
    if _are_folders(theirs, ours):
        their_values["data.name"] = our_values["data.name"]
    return [
        f"'{key}' is {their_values.get(key)!r} there and {our_values.get(key)!r} here"
        for key in {**their_values, **our_values}
        if their_values.get(key) != our_values.get(key)
    ]


def _are_folders(theirs: Recipe, ours: Recipe) -> bool:
    """Return whether the data sets are as many, and those that differ are folders."""
    pairs = list(zip_longest(theirs.data.names, ours.data.names, fillvalue=""))
    return all(
        a == b or all(name and not embedded.is_embedded(name) for name in (a, b)) for a, b in pairs
    )
