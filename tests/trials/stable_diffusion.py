"""One generation at the size of Stable Diffusion 1.5, with random weights: time and memory.

    python -m tests.trials.stable_diffusion [--images 2] [--steps 2] [--folder DIR]

Weights are drawn, not loaded, so nothing is downloaded and no picture is worth a look: what is
measured is that a chain of this size runs, how long it takes, and what it needs.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from empirical import files, recipe
from empirical.chain import loop
from tests.helpers.random_pipelines import version_15


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--images", type=int, default=2)
    words.add_argument("--steps", type=int, default=2, help="of finetuning and of sampling")
    words.add_argument("--batch", type=int, default=2)
    words.add_argument("--precision", default="float32")
    words.add_argument("--checkpointing", action="store_true")
    words.add_argument("--folder", type=Path, help="keep the weights here")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary) / "model"
        if not (folder / "model_index.json").is_file():
            version_15(folder)
        photos = Path(temporary) / "photos"
        for i in range(asked.images):
            pixels = np.random.default_rng(i).integers(0, 256, (512, 512, 3), dtype=np.uint8)
            files.write_image(photos / f"{i}.png", pixels)
            files.write_text(photos / f"{i}.txt", f"a handwritten digit {['two', 'six'][i % 2]}")
        table = recipe.parse(
            {
                "generations": 1,
                "model": {"name": str(folder), "precision": asked.precision},
                "data": {"name": str(photos), "size": asked.images},
                "finetune": {
                    "steps": asked.steps,
                    "batch_size": asked.batch,
                    "gradient_checkpointing": asked.checkpointing,
                    "learning_rate": 1e-5,
                },
                "generate": {
                    "guidance": {"rule": "constant", "scale": 7.5},
                    "steps": asked.steps,
                    "batch_size": asked.batch,
                },
            }
        )
        before, start = _rss(), time.monotonic()
        run = loop.run(table, Path(temporary) / "run")
        taken = time.monotonic() - start
        loss = run.generation(1).loss()
    print(
        json.dumps(
            {
                "seconds": round(taken, 1),
                "loss": loss.loss.round(4).tolist(),
                "peak_memory_gb": round(_rss() / 1e9, 2),
                "peak_memory_before_gb": round(before / 1e9, 2),
                "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
                "peak_device_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2)
                if torch.cuda.is_available()
                else None,
                **{key: str(value) for key, value in vars(asked).items()},
            }
        )
    )


def _rss() -> int:
    """Peak resident memory of this process in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
