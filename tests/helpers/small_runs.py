"""Run folders without chains, for tests of figures: synthetic families that guidance stretches."""

from pathlib import Path

import numpy as np
import pandas as pd

from empirical import files, recipe
from empirical.runs import moments
from empirical.runs.record import Run

PROMPTS = [f"a handwritten digit {name}" for name in ("zero", "one", "two", "three", "four")]
REFERENCE = "held-out real images"
_DECAY = {"rule": "decay", "scale": 7.5, "rate": 15.0}
ARMS = {
    **{f"cfg {w:g}": {"generate": {"guidance": {"rule": "constant", "scale": w}}}
       for w in (1.0, 2.5, 7.5)},
    "seed": {"seed": 1},
    "steps": {"finetune": {"steps": 400}},
    "previous": {"finetune": {"start_from": "previous"}},
    "accumulate": {"finetune": {"training_set": "accumulate"}},
    "real": {"finetune": {"training_set": "real"}},
    "half": {"finetune": {"training_set": "mix", "real_fraction": 0.5}},
    "drop": {"remedy": {"name": "condition_drop"}},
    "decay": {"generate": {"guidance": _DECAY}},
    "slow": {
        "generate": {"guidance": {**_DECAY, "rate": 2.0}},
        "remedy": {"name": "condition_drop"},
    },
    "redifine": {"remedy": {"name": "redifine"}},
    "cads": {"generate": {"guidance": {"rule": "cads", "scale": 7.5}}},
    "noise": {"remedy": {"name": "latent_noise"}},
}  # fmt: skip


def study_folder(folder: Path, generations: int = 2, images: int = 40) -> list[Run]:
    """Write and return a run for each arm."""
    return [_write(folder / name, table, generations, images) for name, table in ARMS.items()]


def fit_folder(folder: Path, runs: list[Run]) -> Path:
    """Write the tables of a fit whose predictions are the measured values with a shift."""
    models = {"family DDIM, log": 0.1, "family DDIM, exact": 0.2, "no change": 0.4}
    rows = []
    for run in runs:
        table = run.moments()
        mean = (
            table[table["feature"] == "latent"].groupby("generation")[["within", "between"]].mean()
        )
        logs = np.log(mean / mean.iloc[0].sum()).assign(mean=0.0)
        for model, shift in models.items():
            for holdout, first in (("generations 2 to 2", 2), ("scale 7.5", 1)):
                for generation, quantity in ((g, q) for g in range(first, len(logs)) for q in logs):
                    value = logs.loc[generation, quantity]
                    prediction = [value + x * shift for x in (1, 0, 2)]
                    rows.append(
                        (
                            model,
                            holdout,
                            run.name,
                            generation,
                            0,
                            quantity,
                            value,
                            *prediction,
                            -shift,
                        )
                    )
    columns = ["model", "holdout", "run", "generation", "component", "quantity", "measured",
               "predicted", "low", "high", "log_density"]  # fmt: skip
    files.write_text(
        folder / "predictions.csv", pd.DataFrame(rows, columns=columns).to_csv(index=False)
    )
    scores = {
        f"{kind}_{name}": [sign * shift for shift in models.values()]
        for kind in ("generations", "scale")
        for name, sign in (("log_score", -1), ("within_error", 1), ("between_error", 1),
                           ("coverage", 1))
    }  # fmt: skip
    table = pd.DataFrame({"model": list(models), **scores})
    files.write_text(folder / "comparison.csv", table.to_csv(index=False))
    files.write_text(
        folder / "parameters.csv",
        "model,parameter,estimate,low,high\n"
        '"family DDIM, log",heritability,0.9,0.8,0.95\n"family DDIM, log",uptake,0.001,,\n',
    )
    return folder


def _write(folder: Path, table: dict, generations: int, images: int) -> Run:
    made = recipe.parse({"generations": generations, "data": {"size": images}, **table})
    files.write_text(folder / "recipe.toml", recipe.dump(made))
    files.write_json(folder / "provenance.json", {"sessions": []})
    rng = np.random.default_rng(made.seed)
    captions = [PROMPTS[i % len(PROMPTS)] for i in range(images)]
    centres = rng.normal(size=(len(PROMPTS), 8))
    rule = made.settings.generate.guidance
    w = 1 + (float(rule.scale) - 1) * np.exp(-getattr(rule, "rate", 0.0) / 10)
    tables = []
    for number in range(generations + 1):
        shrink, stretch = (1 + np.log(w) / 4) ** -number, (1 + np.log(w) / 4) ** number
        noise = rng.normal(size=(images, 8))
        scores = stretch * centres[np.arange(images) % len(PROMPTS)] + shrink * noise
        place = folder / f"gen_{number:03d}"
        _write_generation(place, number, w, scores, captions, rng)
        features = {"latent_pc": scores, "latent": scores, "power_spectrum": scores[:, :4] - 3}
        tables.append(moments.table(number, features, captions).to_csv(index=False))
    head, *rest = tables
    rows = head + "".join(text.split("\n", 1)[1] for text in rest)
    files.write_text(folder / "moments.csv", rows)
    return Run(folder)


def _write_generation(place: Path, number: int, w: float, scores, captions, rng) -> None:
    values = {"accuracy": 1 - 0.02 * number, "frechet": 3.3 + 10 * number * w, "vendi": 5.0,
              "diversity": 9.0, "recall": 0.9 / (1 + number), "precision": 0.9}  # fmt: skip
    alone = ("accuracy", "vendi", "diversity")
    rows = [
        {"measure": name, "reference": None if name in alone else REFERENCE, "value": value,
         "low": 0.9 * value, "high": 1.1 * value, "n": len(captions), "caution": None}
        for name, value in values.items()
    ]  # fmt: skip
    head = {name: values[name] for name in ("accuracy", "frechet", "diversity")}
    files.write_json(
        place / "metrics.json",
        {**head, "features": "classifier", "reference": REFERENCE, "measures": rows},
    )
    (place / "features").mkdir(parents=True)
    np.save(place / "features" / "latent_pc.npy", scores.astype(np.float16))
    names = [f"{i:05d}.png" for i in range(len(captions))]
    files.write_json_lines(
        place / "images" / "metadata.jsonl",
        ({"file_name": n, "text": c} for n, c in zip(names, captions, strict=True)),
    )
    for folder, count in (("probes", 10), ("images", 30)):
        for name in names[:count]:
            files.write_image(place / folder / name, rng.integers(0, 255, (8, 8, 1), np.uint8))
    if number:
        steps = "".join(f"{step},{1 / (step + 1)},0.1\n" for step in range(10))
        files.write_text(place / "loss.csv", "step,loss,gradient_norm\n" + steps)
    files.write_json(place / "done.json", {"generation": number})
