"""Measuring a generation: every trait of its images, and what is said of it as a whole."""

import math

import numpy as np

from empirical import files, metrics
from empirical.generator import Generator
from empirical.records import Generation, Run
from empirical.traits import View, every_trait


def measure(
    generator: Generator, chain: Run, generation: Generation, reference: np.ndarray | None
) -> None:
    """Measure the images as they lie on disk; write ``features/`` and ``metrics.json``."""
    initial = chain.generation(0)
    view = View(
        generation.images(),
        generator.encode,
        generator.judge,
        initial.trait if generation.number else None,
    )
    for name in every_trait():
        values = view.trait(name)
        if values is not None:
            files.write_array(generation.folder / "features" / f"{name}.npy", values)
    captions = generation.captions
    features = "latent_pc" if view.judged is None else "classifier"
    measured, real = view.trait(features), view.first(features)
    assert measured is not None
    assert real is not None
    compared = "generation 0"
    if view.judged is not None and reference is not None and generator.judge is not None:
        real, compared = generator.judge.look(reference)[0], "held-out real images"
    accuracy, diversity = None, metrics.diversity(measured, captions)
    judge, judged = generator.judge, view.judged
    if judge is not None and judged is not None and set(captions) <= set(judge.classes):
        accuracy = metrics.accuracy(judged[1], captions)
    files.write_json(
        generation.folder / "metrics.json",
        {
            "accuracy": accuracy,
            "frechet": metrics.frechet(measured, real),
            "diversity": diversity if math.isfinite(diversity) else None,
            "features": features,
            "reference": compared,
        },
    )
