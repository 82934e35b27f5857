"""Folders of scans without chains: simulated prompts whose response to the scale is known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from empirical import files, recipe
from empirical.runs.draws import Draw
from empirical.runs.scans import FILE, TRAINING, Scan, draw_name

Values = np.ndarray
QUALITY = {
    "accuracy": 0.9,
    "frechet": 3.0,
    "diversity": 5.0,
    "reference": "held-out real images",
    "measures": [
        {"measure": "accuracy", "reference": None, "value": 0.9, "low": 0.8, "high": 1.0},
        {"measure": "frechet", "reference": "generation 0", "value": 9.0, "low": 8.0, "high": 9.9},
        {"measure": "frechet", "reference": "held-out real images", "value": 3.0, "low": 1.0,
         "high": 5.0},
    ],
}  # fmt: skip


def scan_folder(
    folder: Path,
    captions: Sequence[str],
    training: dict[str, Values],
    at_scale: Callable[[float, bool], dict[str, Values]],
    scales: Sequence[float],
    replicates: int = 0,
    base: Callable[[int], dict[str, Values]] | None = None,
    table: dict | None = None,
) -> Scan:
    """Write a scan of generation 1: traits of the training set, and ``at_scale(w, replicate)``;
    ``base(k)`` are the two draws of the base model."""
    made = recipe.parse({"data": {"size": len(captions)}, **(table or {})})
    files.write_text(folder / "recipe.toml", recipe.dump(made))
    files.write_json(
        folder / FILE, {"scales": list(scales), "generations": [1], "replicates": replicates}
    )
    scan = Scan(folder)
    seeds: list[int | None] = list(range(len(captions)))
    _write(scan.training(1), training, captions, [None] * len(captions))
    assert scan.training(1).name == TRAINING
    for scale in scales:
        draw = scan.draw(1, scale)
        assert draw.name == draw_name(scale)
        files.write_json(draw.folder / "metrics.json", QUALITY)
        _write(draw, at_scale(scale, False), captions, seeds)
        if replicates:
            _write(scan.replicate(1, scale), at_scale(scale, True), captions, seeds)
    if base is not None:
        first = scan.run.generation(0)
        _write(first.draw("unguided"), base(0), captions, seeds)
        _write(first.draw("unguided_replicate"), base(1), captions, seeds)
    return scan


def _write(
    draw: Draw, traits: dict[str, Values], captions: Sequence[str], seeds: Sequence[int | None]
) -> None:
    for name, values in traits.items():
        draw.write(name, values)
    draw.finish(captions, seeds)
