"""Files are complete or absent."""

import errno
from pathlib import Path

import numpy as np
import pytest

from empirical import files
from empirical.runs.record import Generation
from empirical.seeds import seed_of


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "a.txt"
    files.write_text(path, "old")

    def full(self, content):
        with self.open("wb") as stream:
            stream.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_bit_for_bit(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels)).astype(np.uint8)
    files.write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(files.read_image(tmp_path / "a.png"), pixels)


def test_sweep_removes_what_was_interrupted_only(tmp_path):
    for name in (".a.png.part", "sub/.b.npy.part", "c.png", "sub/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    files.sweep(tmp_path)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["c.png", "sub/.hidden"]


def test_seeds_are_stable_and_tell_words_apart():
    assert seed_of("image", 0, 1, 2) == seed_of("image", 0, 1, 2)
    seeds = {seed_of("image", s, g, i) for s in range(5) for g in range(5) for i in range(40)}
    assert len(seeds) == 1000
    assert seed_of("a", 12) != seed_of("a", 1, 2)
    assert seed_of("1") != seed_of(1)
    # Part of the record of every run: a change here changes all experiments.
    assert seed_of("image", 0, 1, 0) == 5166643020471210281


def test_rows_end_where_lines_of_json_do(tmp_path):
    """And not at other characters that end a line in a text."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one\u2028two\x85three"}\n\n{"text": "four"}', encoding="utf-8")
    assert [row["text"] for row in files.read_json_lines(path)] == ["one\u2028two\x85three", "four"]


def test_hidden_copies_are_not_part_of_a_generation(tmp_path):
    """As a Mac leaves them beside files on other disks."""
    generation = Generation(tmp_path / "gen_001", 1)
    files.write_array(generation.folder / "features" / "latent.npy", np.zeros((2, 3)))
    files.write_image(generation.folder / "probes" / "00000.png", np.zeros((4, 4, 1), np.uint8))
    for name in ("features/._latent.npy", "probes/._00000.png"):
        (generation.folder / name).write_bytes(b"\x00\x05\x16\x07")
    assert generation.traits() == ["latent"]
    assert generation.probes().shape == (1, 4, 4, 1)
