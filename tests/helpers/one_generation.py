"""One generation at the size of Stable Diffusion 1.5, ours or the stock example's: seconds.

python -m tests.helpers.one_generation stock|ours --folder DIR [--precision bfloat16]

Weights are drawn, not loaded: no image is worth a look. Each way runs in a separate process,
because ours makes the libraries of a GPU deterministic. Rounds follow one after the other; the
first pays for late loading.
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=["stock", "ours"])
    parser.add_argument("--folder", type=Path, required=True, help="of the weights")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--training", type=int, default=24, help="steps of finetuning")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sampling", type=int, default=20, help="steps of DDIM")
    parser.add_argument("--drawn", type=int, default=8, help="images drawn at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    if not (args.folder / "model_index.json").is_file():
        version_15(args.folder)
    with tempfile.TemporaryDirectory() as temporary:
        photos = _photos(Path(temporary) / "photos", args.images)
        rounds = list((_stock if args.way == "stock" else _ours)(args, photos))
    result = {
        **{key: str(value) for key, value in vars(args).items()},
        "training_s": [round(training, 2) for training, _ in rounds],
        "sampling_s": [round(sampling, 2) for _, sampling in rounds],
        "best_s": round(min(sum(pair) for pair in rounds), 2),
    }
    if torch.cuda.is_available():
        result["device"] = torch.cuda.get_device_name()
        result["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    print(json.dumps(result))


def _photos(folder: Path, images: int) -> Path:
    folder.mkdir()
    for i in range(images):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(pixels).resize((512, 512), Image.Resampling.BICUBIC)
        smooth.save(folder / f"{i:03}.jpg")
        (folder / f"{i:03}.txt").write_text(f"a handwritten digit {('two', 'six')[i % 2]}")
    return folder


def _stock(args, photos: Path):
    pipeline = stock.load(args.folder, getattr(torch, args.precision), model.device_of_choice())
    folder = real_images.captioned(photos)
    if args.compile:
        pipeline.unet.compile()
    for _ in range(args.rounds):
        start = _now()
        stock.train(pipeline, folder, args.training, args.batch, TARGETS)
        trained = _now()
        stock.sample(pipeline, [text for _, text in folder], args.drawn, args.sampling, SCALE)
        yield trained - start, _now() - trained
        stock.unload(pipeline)


def _ours(args, photos: Path):
    recipe = parse(
        {
            "finetune": {
                "steps": args.training,
                "batch_size": args.batch,
                "targets": list(TARGETS),
            },
            "generate": {
                "guidance": {"rule": "constant", "scale": SCALE},
                "steps": args.sampling,
                "batch_size": args.drawn,
            },
        }
    )
    base = model.load(str(args.folder), precision=args.precision, compiled=args.compile)
    table = DataTable(name=str(photos), size=args.images)
    for number in range(args.rounds):
        generator = DiffusionGenerator(base, recipe.settings)
        start = _now()
        population = real_images.real(table, base.side, base.mode, 0)
        generator.fit(population, 1, photos.parent / str(number) / "gen_001", lambda count: None)
        trained = _now()
        for part in model.batches(args.images, args.drawn):
            captions = [population.captions[i] for i in part]
            generator.sample(captions, list(part), lambda count: None)
        yield trained - start, _now() - trained


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
