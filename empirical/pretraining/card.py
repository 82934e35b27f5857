"""Evaluate an embedded model against real images, and write its model card."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from safetensors import safe_open

from empirical import files
from empirical.classifier import network
from empirical.embedded import Captioned
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.measuring import metrics
from empirical.measuring.extractors import clip
from empirical.pipeline import model
from empirical.pretraining import training
from empirical.pretraining.plan import Plan
from empirical.progress import Progress, silent
from empirical.seeds import seed_of

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5)
STEPS = 20
BATCH = 250
_FEW = 5


@dataclass(frozen=True)
class Recognised:
    """Fractions of images whose category is the classifier's first, and among its first five; and
    100 times the mean cosine of image and caption, where there is a contrastive model."""

    first: float
    five: float
    clip: float | None


@dataclass(frozen=True)
class Score:
    """Images drawn at one scale: how many are recognised, squared Fréchet distance to the
    reference."""

    scale: float
    recognised: Recognised
    frechet: float


@dataclass(frozen=True)
class Evaluation:
    """How many real and reference images are recognised, the squared Fréchet distance between the
    two (the floor), their numbers, and a row for each guidance scale. The CLIP score is that of the
    real images."""

    real: Recognised
    floor: float
    sizes: tuple[int, int]
    rows: tuple[Score, ...]

    @property
    def best(self) -> Score:
        """The scale of the smallest Fréchet distance."""
        return min(self.rows, key=lambda row: row.frechet)


class Networks:
    """The classifier and the contrastive model in the folder of an embedded model."""

    def __init__(self, folder: Path) -> None:
        self._classifier = network.load(folder / "classifier")
        place = folder / "clip"
        self._clip = clip.load(str(place), offline=True) if place.is_dir() else None

    def __call__(
        self, images: UInt8[np.ndarray, "n h w c"], shown: Captioned
    ) -> tuple[Recognised, Float[np.ndarray, "n d"]]:
        """Return how many images that show some captions are recognised, and their features."""
        features, logits = network.predict(self._classifier, images)
        order = np.argsort(-logits, axis=1, kind="stable")
        captions = self._classifier.config.captions
        right = np.array([captions.index(category) for category in shown.categories])[:, None]
        score = None
        if self._clip is not None:
            cosine = (self._clip.images(images) * self._clip.texts(shown.captions)).sum(1)
            score = float(100 * cosine.clip(0).mean())
        among = [float((order[:, :count] == right).any(1).mean()) for count in (1, _FEW)]
        return Recognised(among[0], among[1], score), features


def evaluate(plan: Plan, folder: Path, seed: int, progress: Progress = silent) -> Evaluation:
    """Draw images at every scale, 20 DDIM steps, with the captions of the plan."""
    networks = Networks(folder)
    real, of_real = networks(plan.real.images, plan.real)
    reference, of_reference = networks(plan.reference.images, plan.reference)
    sizes = (len(plan.real), len(plan.reference))
    both = Recognised(
        float(np.average([real.first, reference.first], weights=sizes)),
        float(np.average([real.five, reference.five], weights=sizes)),
        real.clip,
    )
    pipeline = model.load(str(folder.resolve()))
    rows = []
    for scale in SCALES:
        images = _drawn(pipeline, plan.prompted.captions, scale, seed, progress)
        recognised, features = networks(images, plan.prompted)
        rows.append(Score(scale, recognised, metrics.frechet(features, of_reference)))
    return Evaluation(both, metrics.frechet(of_real, of_reference), sizes, tuple(rows))


def _drawn(
    pipeline: model.Model, captions: Sequence[str], scale: float, seed: int, progress: Progress
) -> UInt8[np.ndarray, "n h w c"]:
    rule = Constant(rule="constant", scale=scale)
    seeds = [seed_of("judge", seed, i) for i in range(len(captions))]
    images = [
        sample(
            pipeline,
            [captions[i] for i in batch],
            [seeds[i] for i in batch],
            rule,
            "ddim",
            STEPS,
            progress,
        )
        for batch in model.batches(len(seeds), BATCH)
    ]
    return np.concatenate(images)


def work(plan: Plan) -> int:
    """Return the work of `evaluate`, in image passes."""
    return len(SCALES) * STEPS * len(plan.prompted)


def write(plan: Plan, folder: Path, evaluation: Evaluation, seed: int, device: str) -> None:
    """Write the model card, ``README.md``, into the model's folder; `device` is the machine."""
    best, real, words = evaluation.best, evaluation.real, plan.card
    scored = real.clip is not None
    rows = "\n".join(
        f"| {row.scale:g} | {_percent(row.recognised.first)} | {_percent(row.recognised.five)} | "
        f"{row.frechet:.2f} | {row.frechet / evaluation.floor:.2f} |"
        + (f" {row.recognised.clip:.1f} |" if row.recognised.clip is not None else "")
        for row in evaluation.rows
    )
    sizes = "\n".join(f"| {part} | {count:,} |" for part, count in parameters(folder).items())
    made = _filled(
        f"`qtm {words.command} --seed {seed}` trains every part from scratch. "
        f"{training.details(plan)} It ran on {device}: another device rounds otherwise, and gives "
        f"weights of the same kind that are not the same bits."
    )
    quality = _filled(
        f"{words.classifier} It recognises {_percent(real.first)} of {sum(evaluation.sizes):,} "
        f"real and reference images, and has {_percent(real.five)} among its first five."
        + (
            f" The contrastive model gives the real images a CLIP score of {real.clip:.1f}."
            if scored
            else ""
        )
        + f" Squared Fréchet distances are taken in the {network.FEATURES} features of the "
        f"classifier, {len(plan.prompted)} images against the {evaluation.sizes[1]} of the "
        f"reference; {evaluation.sizes[0]} real ones are at {evaluation.floor:.2f}, the floor. "
        f"Samples: {STEPS} DDIM steps."
    )
    header = "| CFG scale | recognised | among five | Fréchet | times the floor |"
    text = f"""---
license: {words.licence}
library_name: diffusers
pipeline_tag: text-to-image
---
# {plan.name}

{words.what}

Prompts: {words.prompts}

| part | parameters |
|---|---:|
{sizes}

## How it was made

{made}

## Data

{words.data}

## How good it is

{quality}

{header}{" CLIP score |" if scored else ""}
|---:|---:|---:|---:|---:|{"---:|" if scored else ""}
{rows}

Best constant scale by Fréchet distance: {best.scale:g}, where {_percent(best.recognised.first)} are
recognised at {best.frechet / evaluation.floor:.2f} times the floor.

## Limits

{words.limits}
"""
    files.write_text(folder / "README.md", text)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _filled(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def parameters(folder: Path) -> dict[str, int]:
    """Count the parameters of every part of a model folder."""
    counts = {}
    for path in files.visible(folder, "*/*.safetensors"):
        with safe_open(path, "np") as weights:
            shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118
        counts[path.parent.name] = int(sum(np.prod(shape) for shape in shapes))
    return counts
