"""One generation at the size of Stable Diffusion 1.5, ours or the stock example's: seconds.

python -m tests.trials.generation stock|ours --folder DIR [--images 32] [--precision bfloat16]

Weights are drawn, not loaded: no picture is worth a look. Each way runs in a process by itself,
because ours makes the libraries of a GPU deterministic. Rounds are done one after the other, the
first pays for what is loaded late.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from empirical.data import real_images
from empirical.generator.diffusion import DiffusionGenerator
from empirical.pipeline import model
from empirical.recipe import DataTable, parse
from tests.benchmarks import stock
from tests.helpers.random_pipelines import version_15

SCALE, TARGETS = 7.5, ("to_q", "to_k", "to_v", "to_out.0")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("way", choices=["stock", "ours"])
    words.add_argument("--folder", type=Path, required=True, help="where the weights are or will")
    words.add_argument("--images", type=int, default=32)
    words.add_argument("--training", type=int, default=24, help="steps of finetuning")
    words.add_argument("--batch", type=int, default=4)
    words.add_argument("--sampling", type=int, default=20, help="steps of DDIM")
    words.add_argument("--drawn", type=int, default=8, help="images drawn at once")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--precision", default="float32")
    words.add_argument("--compile", action="store_true")
    asked = words.parse_args()
    if not (asked.folder / "model_index.json").is_file():
        version_15(asked.folder)
    with tempfile.TemporaryDirectory() as temporary:
        photos = _photos(Path(temporary) / "photos", asked.images)
        rounds = list((_stock if asked.way == "stock" else _ours)(asked, photos))
    told = {
        **{key: str(value) for key, value in vars(asked).items()},
        "training_s": [round(training, 2) for training, _ in rounds],
        "sampling_s": [round(sampling, 2) for _, sampling in rounds],
        "best_s": round(min(sum(pair) for pair in rounds), 2),
    }
    if torch.cuda.is_available():
        told["device"] = torch.cuda.get_device_name()
        told["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    print(json.dumps(told))


def _photos(folder: Path, images: int) -> Path:
    folder.mkdir()
    for i in range(images):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(pixels).resize((512, 512), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{i:03}.jpg")
        (folder / f"{i:03}.txt").write_text(f"a handwritten digit {('two', 'six')[i % 2]}")
    return folder


def _stock(asked, photos: Path):
    pipeline = stock.load(asked.folder, getattr(torch, asked.precision), model.device_of_choice())
    folder = real_images.captioned(photos)
    if asked.compile:
        pipeline.unet.compile()
    for _ in range(asked.rounds):
        start = _now()
        stock.train(pipeline, folder, asked.training, asked.batch, TARGETS)
        learnt = _now()
        stock.sample(pipeline, [text for _, text in folder], asked.drawn, asked.sampling, SCALE)
        yield learnt - start, _now() - learnt
        stock.unload(pipeline)


def _ours(asked, photos: Path):
    recipe = parse(
        {
            "finetune": {
                "steps": asked.training,
                "batch_size": asked.batch,
                "targets": list(TARGETS),
            },
            "generate": {
                "guidance": {"rule": "constant", "scale": SCALE},
                "steps": asked.sampling,
                "batch_size": asked.drawn,
            },
        }
    )
    base = model.load(str(asked.folder), precision=asked.precision, compiled=asked.compile)
    table = DataTable(name=str(photos), size=asked.images)
    for number in range(asked.rounds):
        generator = DiffusionGenerator(base, recipe.settings)
        start = _now()
        population = real_images.real(table, base.side, base.mode, 0)
        generator.fit(population, 1, photos.parent / str(number) / "gen_001", lambda count: None)
        learnt = _now()
        for part in model.batches(asked.images, asked.drawn):
            captions = [population.captions[i] for i in part]
            generator.sample(captions, list(part), lambda count: None)
        yield learnt - start, _now() - learnt


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
