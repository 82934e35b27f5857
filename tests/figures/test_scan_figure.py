"""The figure of a scan: panels that have data, and a caption of these alone."""

import re

import numpy as np
import pytest

from analysis.scans import summarise
from empirical import files
from figures import scan as figure_of_scan
from tests.helpers.small_scans import QUALITY, scan_folder

CAPTIONS = ["a", "b", "c"] * 2
SCALES = (1.0, 2.0, 4.0)
MEANS, OFF = np.tile([-1.0, 0.0, 1.0], 2), np.repeat([0.5, -0.5], 3)


def scanned(folder, quality, captions=CAPTIONS, images=False, factors=(0.9, 1.2, 0.8)):
    """A summarised scan whose prompts are drawn apart by a factor at each scale."""
    by_scale = dict(zip(SCALES, factors, strict=True))
    latent = lambda factor: {
        "latent": (factor * MEANS + OFF)[:, None] * [[1.0, 2.0]],
        "sharpness": (factor * MEANS + OFF)[:, None],
    }
    scan = scan_folder(folder, captions, latent(1), lambda w, _: latent(by_scale[w]), SCALES)
    for w in SCALES:
        files.write_json(scan.draw(1, w).folder / "metrics.json", {**QUALITY, **quality})
    if images:
        first = scan.run.generation(0).folder / "images"
        names = [f"{i:05d}.png" for i in range(6)]
        rows = [{"file_name": n, "text": c} for n, c in zip(names, captions, strict=True)]
        files.write_json_lines(first / "metadata.jsonl", rows)
        for shade, name in enumerate(names):
            files.write_image(first / name, np.full((8, 8, 1), 40 * shade, np.uint8))
            for w in SCALES:
                drawn = scan.draw(1, w).folder / "images" / name
                files.write_image(drawn, np.full((8, 8, 1), 255, np.uint8))
    summarise(scan.folder)
    return scan


@pytest.mark.parametrize(
    ("quality", "title", "sentence"),
    [
        ({}, "d   recognised (left), Fréchet (right)",
         "(d) Quality: fraction of images that the classifier recognises and Fréchet distance to "
         "held-out real images."),
        ({"accuracy": None, "features": "classifier"}, "d   Fréchet",
         "(d) Quality: Fréchet distance to held-out real images."),
        ({"accuracy": None, "reference": "generation 0"}, "d   Fréchet",
         "(d) Quality: Fréchet distance to the real images of generation 0 (none are held out)."),
        ({"accuracy": None, "frechet": None, "features": "latent_pc"}, None, None),
    ],
)  # fmt: skip
def test_quality_is_drawn_and_described_where_it_was_measured(tmp_path, quality, title, sentence):
    scan = scanned(tmp_path, quality)
    titles = [axis.get_title(loc="left") for axis in figure_of_scan.draw(scan).axes]
    caption = figure_of_scan.caption(scan)
    letters = re.findall(r"\(([a-z])\)", caption)
    assert letters == [text[0] for text in titles if text]
    if title is None:
        assert letters == ["a", "b", "c"]
        assert "Quality" not in caption
    else:
        assert title in titles
        assert sentence in caption


def test_the_caption_gives_the_reason_for_a_missing_measure(tmp_path):
    alone = {"accuracy": None, "frechet": None}
    caption = figure_of_scan.caption(scanned(tmp_path / "a", {**alone, "features": "classifier"}))
    assert caption.endswith(
        "Not measured: recognised images (the classifier of the model does not know all captions), "
        "Fréchet distance (it is not defined for these images)."
    )
    caption = figure_of_scan.caption(scanned(tmp_path / "b", {**alone, "features": "latent_pc"}))
    assert "recognised images (the model has no classifier)" in caption
    assert "Not measured" not in figure_of_scan.caption(scanned(tmp_path / "c", {}))


def test_a_single_prompt_has_neither_v_b_nor_a_slope(tmp_path):
    caption = figure_of_scan.caption(scanned(tmp_path, {}, ["a"] * 6))
    assert "(a) Variance of the latents within prompts, relative" in caption
    assert "(b) Shift of trait means" in caption
    assert "Slope" not in caption


def test_every_crossing_is_marked(tmp_path):
    """V_B rises through that of the training set between 1 and 2, and falls between 2 and 4."""
    (first, *_) = figure_of_scan.draw(scanned(tmp_path, {})).axes
    vertical = [line for line in first.lines if len(set(line.get_xdata())) == 1]
    at_scales = [float(line.get_xdata()[0]) for line in vertical]
    assert at_scales == pytest.approx([2 ** (1 / 3), 2**1.5], rel=1e-6)


def test_the_first_row_of_images_is_real(tmp_path):
    scan = scanned(tmp_path / "a", {}, images=True)
    sheet = figure_of_scan.draw(scan).axes[-1]
    assert [label.get_text() for label in sheet.get_yticklabels()] == ["real", "1", "2", "4"]
    pixels = sheet.images[0].get_array()
    step = pixels.shape[1] // 6
    assert [int(pixels[0, i * step]) for i in range(6)] == [0, 40, 80, 120, 160, 200]
    assert (pixels[pixels.shape[0] // 4 :] == 255).all()
    assert "(e) Images of the same prompts and noise at every scale; above them the real" in (
        figure_of_scan.caption(scan)
    )
    # A scan of a run has no real images.
    for path in (scan.run.generation(0).folder / "images").glob("*.png"):
        path.unlink()
    assert "real images of these prompts" not in figure_of_scan.caption(scan)
