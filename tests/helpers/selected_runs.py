"""Small runs with unguided draws, written from simulated individuals without a diffusion model."""

from pathlib import Path

import numpy as np

from empirical import files, recipe
from empirical.runs.record import Run

SEEDS = 10_000


def write(
    folder: Path,
    captions: list[str],
    *,
    generations: int = 3,
    replicates: int = 0,
    training_set: str = "replace",
    filtered: bool = False,
    unguided: bool = True,
    components: int = 3,
    carried: float = 0.0,
    seed: int = 0,
) -> Run:
    """Write a run of simulated images: features of ``latent_pc`` and of a scalar trait.

    Prompt means are inherited with h = 0.9 and V_m = 0.01; guidance moves them apart by 20 % and
    narrows images to 0.8. `carried` is the share of an image's deviation that its prompt inherits
    from a single image; by default only prompt values are.
    """
    remedy = {"remedy": {"name": "filter", "trait": "sharpness", "keep": "highest"}}
    table = {
        "generations": generations,
        "data": {"size": len(captions)},
        "generate": {"guidance": {"rule": "constant", "scale": 2.5}},
        "finetune": {"training_set": training_set, "real_fraction": 0.5 * (training_set == "mix")},
        "measure": {"unguided": unguided, "replicates": replicates},
        **(remedy if filtered else {}),
    }
    files.write_text(folder / "recipe.toml", recipe.dump(recipe.parse(table)))
    rng = np.random.default_rng(seed)
    prompts = list(dict.fromkeys(captions))
    codes = np.array([prompts.index(text) for text in captions])
    values = rng.normal(size=(len(prompts), components))
    base = values + 0.2 * rng.normal(size=values.shape)
    images = {0: values[codes] + rng.normal(size=(len(codes), components))}
    run = Run(folder)
    for number in range(generations + 1):
        place = run.generation(number).folder
        if number:
            rows, parents = _training(images, captions, number, training_set, filtered, rng)
            if training_set == "real":
                _draw(place / "draws" / "fresh", parents, captions, [None] * len(captions))
            files.write_json_lines(place / "training.jsonl", rows)
            learnt = values.copy()
            labels = np.array([prompts.index(row["text"]) for row in rows])
            for code in np.unique(labels):
                mean = parents[labels == code].mean(axis=0)
                learnt[code] = (
                    mean if carried == 0 else values[code] + carried * (mean - values[code])
                )
            values = 0.1 * base + 0.9 * learnt + 0.1 * rng.normal(size=values.shape)
        model = values if number else base
        for name, labels in (
            ("unguided", codes),
            ("unguided_replicate", np.tile(codes, replicates)),
        ):
            chance = rng.normal(size=(len(labels), components))
            texts = [prompts[code] for code in labels]
            first = SEEDS * (number + 1) + (len(codes) if name != "unguided" else 0)
            seeds = list(range(first, first + len(labels)))
            guided = 1.2 * model[labels] + 0.8 * chance
            if unguided and len(labels):
                _draw(place / "draws" / name, model[labels] + chance, texts, seeds)
            if number and name == "unguided":
                images[number] = guided
            elif number and len(labels):
                _draw(place / "draws" / "replicate", guided, texts, seeds)
        _features(place, images[number])
        files.write_json_lines(
            place / "images" / "metadata.jsonl",
            (
                {"file_name": f"{i:05d}.png", "text": text, "generation": number,
                 "seed": SEEDS * (number + 1) + i if number else None}
                for i, text in enumerate(captions)
            ),
        )  # fmt: skip
        files.write_json(place / "done.json", {"generation": number})
    return run


def _training(images, captions, number, kind, filtered, rng):
    """Choose a training set: rows of the pedigree, and their values."""
    count = len(captions)
    chosen = [(number - 1, i) for i in range(count)]
    if kind == "accumulate":
        chosen = [(k, i) for k in range(number) for i in range(count)]
    elif kind == "mix" and number > 1:
        real = rng.permutation(count)[: count // 2]
        rest = rng.permutation(count)[: count - count // 2]
        chosen = [(0, i) for i in real] + [(number - 1, i) for i in rest]
    elif filtered:
        chosen = [(number - 1, i) for i in range(count) if images[number - 1][i, 0] > 0]
    if kind == "real":
        names = [f"gen_{number:03d}/fresh/{i:05d}.png" for i in range(count)]
        values = images[0] + rng.normal(size=images[0].shape)
        rows = zip(names, captions, [0] * count, strict=True)
    else:
        names = [f"gen_{k:03d}/images/{i:05d}.png" for k, i in chosen]
        values = np.stack([images[k][i] for k, i in chosen])
        rows = zip(names, [captions[i] for _, i in chosen], [k for k, _ in chosen], strict=True)
    return [{"generation": k, "file_name": n, "text": t} for n, t, k in rows], values


def _draw(place: Path, values: np.ndarray, captions: list[str], seeds: list) -> None:
    _features(place, values)
    rows = zip(captions, seeds, strict=True)
    files.write_json_lines(place / "metadata.jsonl", ({"text": t, "seed": s} for t, s in rows))


def _features(place: Path, values: np.ndarray) -> None:
    files.write_array(place / "features" / "latent_pc.npy", values)
    files.write_array(place / "features" / "sharpness.npy", values[:, :1] + 2)
