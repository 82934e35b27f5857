"""Real images: the embedded digits and folders of a user."""

import json

import numpy as np
import pytest
from PIL import Image

from empirical.data import real_images
from empirical.embedded import digits as dataset
from empirical.errors import UserError
from empirical.recipe import DataTable


def picture(path, size=(40, 32), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folder_of(path, captions):
    rows = []
    for i, caption in enumerate(captions):
        picture(path / f"{i}.png", seed=i)
        rows.append(json.dumps({"file_name": f"{i}.png", "text": caption}))
    (path / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return path


def real(path, size, seed=0, mode="L"):
    return real_images.real(DataTable(name=str(path), size=size), 16, mode, seed)


def test_the_three_parts_of_the_digits_share_no_image():
    parts = {name: dataset.load(name) for name in ("train", "real", "reference")}
    assert {name: len(p.labels) for name, p in parts.items()} == {
        "train": 4000, "real": 500, "reference": 500,
    }  # fmt: skip
    seen = [{image.tobytes() for image in p.images} for p in parts.values()]
    assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
    for p in parts.values():
        np.testing.assert_array_equal(np.bincount(p.labels), len(p.labels) // 10)
    assert parts["real"].captions[7] == "a handwritten digit seven"


def test_families_come_in_turn_and_the_seed_draws(tmp_path):
    digits = real_images.real(DataTable(name="digits", size=30), 32, "L", 0)
    assert digits.images.shape == (30, 32, 32, 1)
    assert digits.captions[:10] == digits.captions[10:20] == tuple(dataset.CAPTIONS)
    again = real_images.real(DataTable(name="digits", size=30), 32, "L", 0)
    other = real_images.real(DataTable(name="digits", size=30), 32, "L", 1)
    np.testing.assert_array_equal(digits.images, again.images)
    assert not np.array_equal(digits.images, other.images)
    whole = real_images.real(DataTable(name="digits", size=500), 32, "L", 1)
    assert len({image.tobytes() for image in whole.images}) == 500


def test_a_folder_with_a_table(tmp_path):
    population = real(folder_of(tmp_path / "d", ["cat", "cat", "cat", "dog"]), 4)
    assert population.images.shape == (4, 16, 16, 1)
    assert population.captions[:2] == ("cat", "dog")
    assert real(tmp_path / "d", 2, mode="RGB").images.shape == (2, 16, 16, 3)


def test_a_folder_with_text_beside_the_images(tmp_path):
    for i in range(3):
        picture(tmp_path / "d" / f"{i}.png", seed=i)
        (tmp_path / "d" / f"{i}.txt").write_text(f"thing {i % 2}\n")
    assert sorted(real(tmp_path / "d", 3).captions) == ["thing 0", "thing 0", "thing 1"]


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
    with pytest.raises(UserError, match="neither an embedded set"):
        real(tmp_path / "none", 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        real(tmp_path / "empty", 2)
    picture(tmp_path / "bare" / "a.png")
    with pytest.raises(UserError, match=r"a\.png' has no caption"):
        real(tmp_path / "bare", 2)
    few = folder_of(tmp_path / "few", ["a", "b"])
    with pytest.raises(UserError, match=r"'data\.size' needs 5 images of .* has 2 images"):
        real(few, 5)
    (few / "1.png").write_bytes((few / "1.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"1\.png' is broken"):
        real(few, 2)
    (few / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a"}\n{"file": 3}\n')
    with pytest.raises(UserError, match="line 2 of"):
        real(few, 2)
    (few / "metadata.jsonl").write_text('{"file_name": "9.png", "text": "a"}\n')
    with pytest.raises(UserError, match=r"names '9\.png', which does not exist$"):
        real(few, 2)
    (few / "metadata.jsonl").write_text('{"file_name": "0.PNG", "text": "a"}\n')
    with pytest.raises(UserError, match=r"which does not exist: did you mean '0\.png'\?$"):
        real(few, 2)
