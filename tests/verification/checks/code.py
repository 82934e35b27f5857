"""Counts, limits and defaults that the documents state, read from the code and its files."""

import json

from tests.verification import documents
from tests.verification.expectations import Claim, exactly, near, rounded

MEASURED, IMAGES = "docs/measured.md", "docs/images.md"
CLAIMS = (
    Claim(MEASURED, "Most of these chains belong to one grid of 59, "
    "`empirical/recipes/grid/embedded.toml`"),
    Claim(MEASURED, "those at 1.1 and 1.2 belong to `neutral.toml` in the same folder. The package "
    "contains all of them"),
    Claim(IMAGES, "500 handwritten digits, ten captions | | | `emoji` | 500 drawings in colour, "
    "500 captions:"),
    Claim(IMAGES, "500 drawings of the same artist, with the captions of 30 families"),
    Claim(IMAGES, "Integers of 16 bits are scaled so that 65535 is white, those of 12 bits so that "
    "4095 is. Integers in 32 bits are read as 8 bits if none exceeds 255, else as 16. Floats range "
    "from 0 (black) to 1 (white)."),
    Claim(IMAGES, "Texts and colour profiles inside a PNG may have up to 64 MB each. Images of "
    "more than 179 million pixels are refused."),
    Claim(IMAGES, "12 in the embedded model"),
    Claim("docs/glossary.md", "variance of a trait within families, pooled; ddof = 1 | | between "
    "(V_B) | variance of the families' means; ddof = 1 |"),
    Claim("docs/runs.md", "families are prompts, and all variances have ddof = 1:"),
    Claim("docs/runs.md", "VAE-latent coordinates (`latent`) and their eight leading principal "
    "components on generation 0 (`latent_pc`)"),
)  # fmt: skip
EXPECTED = {
    "chains of the grid": exactly(59),
    "of these kept": exactly(59),
    "kept chains at 1.1 and 1.2": exactly(4),
    "digits": exactly(500),
    "captions of digits": exactly(10),
    "emoji": exactly(500),
    "captions of emoji": exactly(500),
    "emoji-families": exactly(500),
    "captions of emoji-families": exactly(30),
    "65535 of 16 bits": exactly(255),
    "4095 of 12 bits": exactly(255),
    "200 of 32 bits, the largest": exactly(200),
    "65535 of 32 bits, the largest": exactly(255),
    "1 of floats": exactly(255),
    "text in a PNG (MiB)": exactly(64),
    "pixels (millions)": rounded(179),
    "tokens of the embedded model": exactly(12),
    "V_W over its formula": near(1, 1e-12),
    "V_B over its formula": near(1, 1e-12),
    "leading components of latents": exactly(8),
}
SECONDS, MEMORY = 15, 0.8


def measure() -> dict[str, float]:
    return {**_recipes(), **_images(), **_moments()}


def _recipes() -> dict[str, float]:
    from empirical.runs import kept
    from empirical.sweeps.grid import read

    folder = documents.ROOT / "empirical" / "recipes" / "grid"
    grid = read(folder / "embedded.toml").chains
    neutral = read(folder / "neutral.toml").chains
    near_neutral = [run.name for run in kept.runs("neutral") if run.name in neutral]
    return {
        "chains of the grid": len(grid),
        "of these kept": len(set(grid) & {run.name for run in kept.runs("embedded")}),
        "kept chains at 1.1 and 1.2": sum(
            name.endswith(("scale=1.1", "scale=1.2")) for name in near_neutral
        ),
    }


def _images() -> dict[str, float]:
    import numpy as np
    from PIL import Image

    from empirical import embedded
    from empirical.images import opening

    values = {}
    for name in ("digits", "emoji", "emoji-families"):
        captions = embedded.load(name, "real").captions
        values[name], values[f"captions of {name}"] = len(captions), len(set(captions))

    def brightest(values: list[float], kind: type, white: int | None = None) -> float:
        image = Image.fromarray(np.array([values], kind))
        return float(np.asarray(opening.plain(image, "x", white)).max())

    return {
        **values,
        "65535 of 16 bits": brightest([0, 65535], np.uint16),
        "4095 of 12 bits": brightest([0, 4095], np.uint16, 4095),
        "200 of 32 bits, the largest": brightest([0, 200], np.int32),
        "65535 of 32 bits, the largest": brightest([0, 65535], np.int32),
        "1 of floats": brightest([0.0, 1.0], np.float32),
        "text in a PNG (MiB)": opening._TEXT_CHUNK / 2**20,
        "pixels (millions)": 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6,
    }


def _moments() -> dict[str, float]:
    import numpy as np

    from empirical import embedded
    from empirical.measuring.traits import latent_pc
    from empirical.runs import moments

    folder = embedded.MODELS / "digits" / "tokenizer"
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    z = np.random.default_rng(0).normal(size=(12, 1))
    families = [str(i // 3) for i in range(12)]
    computed, by_family = moments.moments(z, families), z.reshape(4, 3)
    return {
        "tokens of the embedded model": tokenizer["model_max_length"],
        "V_W over its formula": float(computed["within"][0] / by_family.var(axis=1, ddof=1).mean()),
        "V_B over its formula": float(computed["between"][0] / by_family.mean(axis=1).var(ddof=1)),
        "leading components of latents": latent_pc.COMPONENTS,
    }
