"""A generation on a GPU beside the stock example of diffusers, in three parts: seconds.

python -m tests.benchmarks.gpu 15|xl|embedded --out DIR

`15`: 24 finetuning steps of 4 images of 512 pixels and 32 images in 20 guided steps, 8 at a time,
with a pipeline of the size of Stable Diffusion 1.5. `xl`: 8 steps of 2 images of 1024 pixels and 8
images in 20 guided steps, 4 at a time, at the size of Stable Diffusion XL. Weights are drawn, not
loaded. Each way is a process, which first does all once, so that everything is compiled, recorded
and loaded; then they take turns, and the best of two rounds counts. `embedded`: six chains of the
embedded model side by side. Each part writes its table to DIR.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from empirical.data import real_images
from empirical.generator.diffusion import DiffusionGenerator
from empirical.pipeline import model
from empirical.recipe import DataTable, parse
from tests.benchmarks import stock
from tests.helpers import random_pipelines
from tests.verification.documents import ROOT

SCALE, TARGETS = 7.5, ("to_q", "to_k", "to_v", "to_out.0")
CHAINS = 6


@dataclass(frozen=True)
class Work:
    """The work of one generation; `passes` is one pass of the denoiser in TFLOP."""

    pixels: int
    images: int
    training: int
    batch: int
    sampling: int
    drawn: int
    passes: float

    @property
    def products(self) -> float:
        """TFLOP of the denoiser: forward and backward to the latents, and both branches."""
        return self.passes * (2 * self.training * self.batch + 2 * self.sampling * self.images)


SIZES = {
    "15": Work(512, 32, 24, 4, 20, 8, 0.803),
    "xl": Work(1024, 8, 8, 2, 20, 4, 6.761),
    # To try the script on processors.
    "tiny": Work(32, 4, 4, 2, 3, 2, 0.00014),
}
WAYS = {
    "15": [
        "stock bfloat16",
        "stock bfloat16 compiled",
        "ours bfloat16",
        "ours bfloat16 compiled",
        "ours bfloat16 fastest",
        "stock float32",
        "ours float32",
    ],
    "xl": ["stock bfloat16", "ours bfloat16", "ours bfloat16 compiled"],
    "tiny": ["stock float32", "ours float32", "ours bfloat16 compiled fastest"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*SIZES, "embedded", "worker"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--way")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="*")
    args = parser.parse_args()
    if args.part == "worker":
        worker(SIZES[args.size], args.way.split(), args.rounds, args.size)
        return
    if args.part == "embedded":
        table = embedded(args.out)
    else:
        table = beside(args.part, args.ways or WAYS[args.part], args.rounds)
    (args.out / f"{args.part}.json").write_text(json.dumps(table, indent=1))


def beside(size: str, ways: list[str], rounds: int) -> list[dict]:
    """Start a process for each way, let them take turns, and return what each measured."""
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "worker", "--out", "."]
    command += ["--size", size, "--rounds", str(rounds)]
    rows, running = [], []
    for way in ways:
        running.append(
            subprocess.Popen(
                [*command, "--way", way],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    ready = [_line(process) for process in running]
    for way, process, prepared in zip(ways, running, ready, strict=True):
        measured = {"way": way, **prepared}
        if "failed" not in prepared:
            process.stdin.write("go\n")
            process.stdin.flush()
            measured |= _line(process)
        process.wait()
        print(measured, flush=True)
        rows.append(measured)
    return rows


def _line(process: subprocess.Popen) -> dict:
    """Return the next line of a process that is a table; nothing where it failed."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
        print("   ", line.rstrip()[:300], flush=True)
    return {"failed": process.wait()}


def worker(work: Work, way: list[str], rounds: int, size: str) -> None:
    device = model.device_of_choice()
    start = _now()
    with device:
        pipeline = {
            "15": random_pipelines.size_of_15,
            "xl": random_pipelines.size_of_xl,
            "tiny": lambda: model.load("emoji").pipeline,
        }[size]()
    with tempfile.TemporaryDirectory() as temporary:
        photos = _photos(Path(temporary) / "photos", work)
        generation = (_stock if "stock" in way else _ours)(pipeline, device, work, way, photos)
        loaded = _now() - start
        for _ in range(2):
            generation(4, 4)
        print(json.dumps({"loaded_s": loaded, "ready_s": _now() - start - loaded}), flush=True)
        sys.stdin.readline()
        _reset_peak()
        pairs = [generation(work.training, work.sampling) for _ in range(rounds)]
        best = min(pairs, key=sum)
        print(
            json.dumps(
                {
                    "training_s": round(best[0], 2),
                    "drawing_s": round(best[1], 2),
                    "all_s": round(sum(best), 2),
                    "rounds_s": [round(sum(pair), 2) for pair in pairs],
                    "tflop_per_s": round(work.products / sum(best), 1),
                    "peak_gb": round(_peak(), 2),
                }
            ),
            flush=True,
        )


def _photos(folder: Path, work: Work) -> Path:
    folder.mkdir()
    size = (work.pixels, work.pixels)
    for i in range(work.images):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        smooth.save(folder / f"{i:03}.jpg")
        (folder / f"{i:03}.txt").write_text(f"a handwritten digit {('two', 'six')[i % 2]}")
    return folder


def _stock(pipeline, device, work: Work, way: list[str], photos: Path):
    pipeline = stock.frozen(pipeline.to(device, _precision(way)))
    folder = [(path, path.with_suffix(".txt").read_text()) for path in sorted(photos.glob("*.jpg"))]
    if "compiled" in way:
        pipeline.unet.compile()

    def generation(training: int, sampling: int) -> tuple[float, float]:
        start = _now()
        stock.train(pipeline, folder, training, work.batch, TARGETS)
        trained = _now()
        stock.sample(pipeline, [text for _, text in folder], work.drawn, sampling, SCALE)
        seconds = trained - start, _now() - trained
        if "compiled" not in way:
            # A new adapter would be compiled anew.
            stock.unload(pipeline)
        return seconds

    return generation


def _ours(pipeline, device, work: Work, way: list[str], photos: Path):
    model.choose_algorithms("fastest" not in way)
    base = model.Model(pipeline, device, Path(), _precision(way), "compiled" in way)
    table = DataTable(name=str(photos), size=work.images)
    number = iter(range(100))

    def generation(training: int, sampling: int) -> tuple[float, float]:
        recipe = parse(
            {
                "finetune": {
                    "steps": training,
                    "batch_size": work.batch,
                    "targets": list(TARGETS),
                },
                "generate": {
                    "guidance": {"rule": "constant", "scale": SCALE},
                    "steps": sampling,
                    "batch_size": work.drawn,
                },
            }
        )
        generator = DiffusionGenerator(base, recipe.settings)
        folder = photos.parent / str(next(number)) / "gen_001"
        start = _now()
        population = real_images.real(table, base.side, base.mode, 0)
        generator.fit(population, 1, folder, lambda count: None)
        trained = _now()
        for part in model.batches(work.images, work.drawn):
            captions = [population.captions[i] for i in part]
            generator.sample(captions, list(part), lambda count: None)
        return trained - start, _now() - trained

    return generation


def _precision(way: list[str]) -> torch.dtype:
    return torch.bfloat16 if "bfloat16" in way else torch.float32


def embedded(out: Path) -> dict:
    """Run one chain, then six side by side; then compare the files of equal chains."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = {"alone_s": _chains(folder, "alone", [0])}
        table["side_by_side_s"] = _chains(folder, "beside", list(range(CHAINS)))
        table["chains_per_minute"] = 60 * CHAINS / table["side_by_side_s"]
        first, second = (_contents(folder / name / "0") for name in ("alone", "beside"))
        differ = [name for name in first if first[name] != second.get(name)]
        table |= {"files": len(first), "files_that_differ": differ}
        log = folder / "alone" / "0" / "log.csv"
        if log.is_file():
            print(log.read_text()[:2000])
    print(table, flush=True)
    return table


def _chains(folder: Path, name: str, seeds: list[int]) -> float:
    program = (
        "import sys; from pathlib import Path; from empirical import recipe;"
        "from empirical.chain import loop;"
        "loop.run(recipe.parse({'seed': int(sys.argv[1]), 'generations': 6}), Path(sys.argv[2]))"
    )
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(seed), str(folder / name / str(seed))], cwd=ROOT
        )
        for seed in seeds
    ]
    failed = [process.wait() for process in running]
    if any(failed):
        raise RuntimeError(f"chains ended with {failed}")
    return round(time.perf_counter() - start, 1)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".safetensors", ".png", ".csv", ".npy", ".npz"}
    }


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


if __name__ == "__main__":
    main()
