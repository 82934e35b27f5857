"""The embedded architecture, trained on other images: a second model to try theories on.

python -m tests.trials.other_images IMAGES.npz --out DIR [--seed 0]

The file holds `images` [n, 28, 28] (uint8), `labels` [n] from 0 to 9, at least 500 of each, and
`captions` [10]. It becomes what handwritten digits are to the embedded model: 400 of each class to
train on, 50 to start chains from. DIR gets the pipeline `model`, the folder `photos` of those 500
images, and `verdict.json`: what the model's images are worth at several CFG scales.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from empirical import files
from empirical.digits import dataset
from empirical.pretraining import architecture, card, training


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("images", type=Path)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--seed", type=int, default=0)
    asked = words.parse_args()
    with np.load(asked.images) as table:
        margin = (dataset.SIDE - table["images"].shape[-1]) // 2
        images = np.pad(table["images"], ((0, 0), (margin, margin), (margin, margin)))
        labels, captions = table["labels"], tuple(map(str, table["captions"]))
    # The training knows one data set; here it is another one.
    dataset._all = lambda: (images, labels)
    dataset.CAPTIONS = architecture.CAPTIONS = captions
    real = dataset.load("real")
    rows = []
    for i, (pixels, caption) in enumerate(zip(real.images, real.captions, strict=True)):
        files.write_image(asked.out / "photos" / f"{i:05}.png", pixels[..., None])
        rows.append(json.dumps({"file_name": f"{i:05}.png", "text": caption}) + "\n")
    files.write_text(asked.out / "photos" / "metadata.jsonl", "".join(rows))
    training.pretrain(asked.out / "model", asked.out / "kept", asked.seed, lambda count: None)
    evaluation = card.evaluate(asked.out / "model", asked.seed)
    files.write_json(asked.out / "verdict.json", asdict(evaluation))
    print(json.dumps(asdict(evaluation)))


if __name__ == "__main__":
    main()
