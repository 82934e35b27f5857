"""One generation at the size of Stable Diffusion 1.5, with random weights: it runs in 11 GB.

Weights are drawn, not loaded, so nothing is downloaded and no image is worth a look. On two cores a
batch of one with gradient checkpointing; the time depends on other work and is printed.
"""

import resource
import tempfile
import time
from pathlib import Path

from tests.verification.expectations import Claim, between, exactly

CLAIMS = (
    Claim("docs/hardware.md", "| a pipeline with the configuration of Stable Diffusion 1.5 and "
    "**random weights** | an H100, and two cores (11 GB) |"),
)  # fmt: skip
EXPECTED = {
    "losses of the finetuning steps that are not finite": exactly(0),
    "peak memory (GB)": between(9.5, 11.5),
}
SECONDS, MEMORY = 1000, 11.5


def measure(
    images: int = 2,
    steps: int = 2,
    batch: int = 1,
    precision: str = "float32",
    checkpointing: bool = True,
    folder: Path | None = None,
) -> dict[str, float]:
    import numpy as np

    from empirical import files, recipe
    from empirical.chain import loop
    from tests.helpers.random_pipelines import version_15

    with tempfile.TemporaryDirectory() as temporary:
        weights = folder or Path(temporary) / "model"
        if not (weights / "model_index.json").is_file():
            version_15(weights)
        photos = Path(temporary) / "photos"
        for i in range(images):
            pixels = np.random.default_rng(i).integers(0, 256, (512, 512, 3), dtype=np.uint8)
            files.write_image(photos / f"{i}.png", pixels)
            files.write_text(photos / f"{i}.txt", f"a handwritten digit {['two', 'six'][i % 2]}")
        table = recipe.parse(
            {
                "generations": 1,
                "model": {"name": str(weights), "precision": precision},
                "data": {"name": str(photos), "size": images},
                "finetune": {
                    "steps": steps,
                    "batch_size": batch,
                    "gradient_checkpointing": checkpointing,
                    "learning_rate": 1e-5,
                },
                "generate": {
                    "guidance": {"rule": "constant", "scale": 7.5},
                    "steps": steps,
                    "batch_size": batch,
                },
            }
        )
        start = time.monotonic()
        run = loop.run(table, Path(temporary) / "run")
        print(f"one generation: {time.monotonic() - start:.0f} s")
        loss = run.generation(1).loss()["loss"]
    return {
        "losses of the finetuning steps that are not finite": float((~np.isfinite(loss)).sum()),
        # Of this process, in kilobytes on Linux.
        "peak memory (GB)": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9,
    }
