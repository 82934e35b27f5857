"""Measuring a generation: every trait of its images, and what is said of it as a whole."""

import numpy as np
from threadpoolctl import threadpool_limits

from empirical import files
from empirical.data import training_set
from empirical.generator.diffusion import Generator
from empirical.measuring import metrics
from empirical.measuring.metrics import Sample
from empirical.measuring.traits import View, every_trait
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of

HELD_OUT = "held-out real images"


def measure(
    generator: Generator,
    chain: Run,
    generation: Generation,
    reference: np.ndarray | None,
    seed: int = 0,
) -> None:
    """Measure the images as they lie on disk; write ``features/`` and ``metrics.json``.

    Sets of images are compared in the classifier's features, or in the leading principal
    components of the latents where there is no classifier: with generation 0, with the generation
    before, and with held-out real images, where there are any; distances to the nearest image also
    with what the generation learnt from.
    """
    # Sums over several threads differ in their last bits from those over one.
    with threadpool_limits(1, user_api="blas"):
        _measure(generator, chain, generation, reference, seed)


def _measure(
    generator: Generator,
    chain: Run,
    generation: Generation,
    reference: np.ndarray | None,
    seed: int,
) -> None:
    initial = chain.generation(0)
    view = View(
        generation.images(),
        generator.encode,
        generator.classifier,
        initial.trait if generation.number else None,
    )
    for name in every_trait():
        values = view.trait(name)
        if values is not None:
            files.write_array(generation.folder / "features" / f"{name}.npy", values)
    features = "latent_pc" if view.classified is None else "classifier"
    measured = view.trait(features)
    assert measured is not None
    sample = Sample(measured, tuple(generation.captions), _predicted(view, generation))
    references = _references(chain, generation, features)

    def seen(images: np.ndarray | None) -> Sample | None:
        if images is None:
            return None
        values = View(images, generator.encode, generator.classifier, initial.trait).trait(features)
        return None if values is None else Sample(values)

    held_out = seen(reference)
    if held_out is not None:
        references[HELD_OUT] = held_out
    learnt = seen(training_set.beyond(chain, generation.number))
    key = seed_of("measures", seed, generation.number)
    files.write_json(
        generation.folder / "metrics.json",
        metrics.of_generation(sample, references, features, key, training=learnt),
    )


def _references(chain: Run, generation: Generation, features: str) -> dict[str, Sample]:
    """Return what a generation is compared with, the most telling last."""
    number = generation.number
    if number == 0:
        return {}
    before = Sample(chain.generation(number - 1).trait(features))
    first = before if number == 1 else Sample(chain.generation(0).trait(features))
    return {"the generation before": before, "generation 0": first}


def _predicted(view: View, generation: Generation) -> tuple[str, ...] | None:
    """Return what the classifier takes each image for, where it knows all prompts."""
    classifier, judged = view.classifier, view.classified
    if (
        classifier is None
        or judged is None
        or not set(generation.captions) <= set(classifier.classes)
    ):
        return None
    return tuple(judged[1])
