"""The training set of a generation, and the pedigree that records it."""

from collections import Counter

import numpy as np
import pytest

from empirical import files, recipe
from empirical.data import real_images, training_set
from empirical.runs.record import Run
from tests.helpers.tiny_chain import tiny

FAMILIES = ("a", "b", "c", "d")
SIZE = 20


@pytest.fixture
def chain(tmp_path):
    """Four generations of grey images whose value is their generation and number."""
    run = Run(tmp_path / "run")
    for number in range(4):
        generation = run.generation(number)
        for i in range(SIZE):
            pixels = np.full((2, 2, 1), 50 * number + i, np.uint8)
            files.write_image(generation.folder / "images" / f"{i:05d}.png", pixels)
        files.write_json_lines(
            generation.folder / "images" / "metadata.jsonl",
            (
                {"file_name": f"{i:05d}.png", "text": FAMILIES[i % 4], "seed": None}
                for i in range(SIZE)
            ),
        )
        values = np.arange(SIZE, dtype=float)[:, None]
        files.write_array(generation.folder / "features" / "sharpness.npy", values)
    return run


def made(chain, number, fresh=None, **changes):
    asked = tiny(**{"data": {"size": SIZE}, **changes})
    training_set.write(chain, number, asked.settings, fresh)
    rows, population = chain.generation(number).pedigree(), training_set.read(chain, number)
    assert len(rows) == len(population)
    for row, pixels, caption in zip(rows, population.images, population.captions, strict=True):
        assert row["text"] == caption
        assert (files.read_image(chain.folder / row["file_name"]) == pixels).all()
    return rows


def generations(rows):
    return Counter(row["generation"] for row in rows)


def test_replace_is_the_generation_before(chain):
    assert generations(made(chain, 3)) == {2: SIZE}


def test_accumulate_is_all_so_far(chain):
    assert generations(made(chain, 3, finetune={"training_set": "accumulate"})) == {
        0: SIZE, 1: SIZE, 2: SIZE,
    }  # fmt: skip


def test_a_subsample_keeps_the_size_and_the_families(chain):
    rows = made(chain, 3, finetune={"training_set": "accumulate-subsample"})
    assert len(rows) == SIZE
    assert set(generations(rows)) == {0, 1, 2}
    assert set(Counter(row["text"] for row in rows).values()) == {SIZE // 4}
    assert len({row["file_name"] for row in rows}) == SIZE


def test_subsamples_are_fair():
    """Each of 40 rows in two families of unequal size is drawn half the time."""
    rows = [{"text": "a" if i < 28 else "b", "file_name": str(i)} for i in range(40)]
    counts = np.zeros(40)
    for seed in range(1000):
        drawn = training_set._subset(rows, 20, np.random.default_rng(seed))
        assert len(drawn) == 20
        for row in drawn:
            counts[int(row["file_name"])] += 1
    assert abs(counts / 1000 - 0.5).max() < 5 * np.sqrt(0.25 / 1000)


@pytest.mark.parametrize(("share", "real"), [(0.25, 5), (0.5, 10), (1.0, 20)])
def test_a_mix_has_its_share_of_real_images(chain, share, real):
    rows = made(chain, 3, finetune={"training_set": "mix", "real_fraction": share})
    assert generations(rows) == Counter({0: real, 2: SIZE - real})


def test_the_first_mix_is_of_real_images_each_once(chain):
    """Nothing is there yet to mix them with."""
    rows = made(chain, 1, finetune={"training_set": "mix", "real_fraction": 0.5})
    assert generations(rows) == Counter({0: SIZE})
    assert len({row["file_name"] for row in rows}) == SIZE


def test_the_control_learns_from_fresh_real_images(chain):
    asked = []

    def fresh(number):
        asked.append(number)
        images = np.full((SIZE, 2, 2, 1), 200 + number, np.uint8)
        return real_images.Population(images, tuple(FAMILIES[i % 4] for i in range(SIZE)))

    rows = made(chain, 2, fresh, finetune={"training_set": "real"})
    assert generations(rows) == {0: SIZE}
    assert rows[0]["file_name"] == "gen_002/fresh/00000.png"
    made(chain, 2, fresh, finetune={"training_set": "real"})
    assert asked == [2]


def test_the_choice_depends_on_seed_and_generation_alone(chain):
    table = {"training_set": "accumulate-subsample"}
    first = made(chain, 3, finetune=table)
    (chain.generation(3).folder / "training.jsonl").unlink()
    assert made(chain, 3, finetune=table) == first
    (chain.generation(3).folder / "training.jsonl").unlink()
    assert made(chain, 3, seed=1, finetune=table) != first


@pytest.mark.parametrize(
    ("keep", "values"), [("highest", {16, 12}), ("lowest", {0, 4}), ("middle", {4, 8})]
)
def test_a_filter_selects_within_every_prompt(chain, keep, values):
    """Family a has the values 0, 4, 8, 12, 16; two fifths of it are two images."""
    remedy = {"name": "filter", "trait": "sharpness", "keep": keep, "fraction": 0.4}
    rows = made(chain, 3, remedy=remedy)
    assert len(rows) == 8
    kept = {int(row["file_name"][-9:-4]) for row in rows if row["text"] == "a"}
    assert kept == values
    assert generations(made(chain, 1, remedy=remedy)) == {0: SIZE}


def test_generation_0_shares_several_data_sets(tmp_path):
    for name, grey in (("x", 30), ("y", 60)):
        for i in range(8):
            files.write_image(tmp_path / name / f"{i}.png", np.full((32, 32, 1), grey, np.uint8))
            files.write_text(tmp_path / name / f"{i}.txt", f"a picture of {name}")
    names = [str(tmp_path / "x"), "digits", str(tmp_path / "y")]
    table = recipe.DataTable(name=names, size=20)
    real = real_images.real(table, 32, "L", seed=0)
    assert len(real) == 20
    count = Counter(caption for caption in real.captions)
    assert count["a picture of x"] == 6
    assert count["a picture of y"] == 7
    # The images of each that are left over, at most as many as were taken.
    spare = real_images.reference(table, 32, "L", seed=0)
    grey = [int(image.max()) for image in spare if image.max() == image.min()]
    assert (len(spare), sorted(grey)) == (2 + 7 + 1, [30, 30, 60])
    assert not any((image == one).all() for image in real.images[1::3] for one in spare[2:9])
    assert real_images.reference(table, 32, "L", seed=0, fresh=True) is None
    all_of_it = recipe.DataTable(name=names[0], size=8)
    assert real_images.reference(all_of_it, 32, "L", seed=0) is None
    digits = recipe.DataTable(size=20)
    assert real_images.reference(digits, 32, "L", seed=0, fresh=True).shape[1:] == (32, 32, 1)
    assert real_images.reference(digits, 64, "RGB", seed=0) is None
    fewer = recipe.DataTable(name=names, size=12)
    drawn = [real_images.real(fewer, 32, "L", 0, generation).images for generation in (0, 0, 3)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
