"""Why measures of a generation are missing, and how to have them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# Names of measures in sentences.
NAMES = {
    "accuracy": "recognised images",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "vendi": "Vendi score",
    "diversity": "distance between images of a prompt",
}
NOT_HELD_OUT = (
    "no real image is held out, so that images are compared with generation 0, which itself has no "
    "such measures: the images of a folder beyond `data.size` are held out"
)


def reason(measure: str, metrics: Mapping[str, Any], captions: Sequence[str]) -> str:
    """Return why a generation lacks a measure; `metrics` is its ``metrics.json``, `captions` are
    those of its images."""
    if not metrics:
        return "no measure is stored"
    if measure == "accuracy":
        if metrics.get("features") == "classifier":
            return "the classifier of the model does not know all captions"
        return "the model has no classifier"
    if measure == "diversity" and max(Counter(captions).values(), default=0) < 2:
        return "every prompt has one image"
    return "it is not defined for these images"


def sentence(measures: Sequence[str], metrics: Mapping[str, Any], captions: Sequence[str]) -> str:
    """Return a sentence that names missing measures with their reasons, empty for none."""
    parts = [f"{NAMES[name]} ({reason(name, metrics, captions)})" for name in measures]
    return f"Not measured: {', '.join(parts)}." if parts else ""


def is_held_out(metrics: Mapping[str, Any]) -> bool:
    """Return whether a generation was compared with images that no generation learns from."""
    return metrics.get("reference") not in (None, "generation 0", "the generation before")
