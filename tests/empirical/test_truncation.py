"""Warnings of captions that a text encoder truncates or does not distinguish."""

import warnings

import numpy as np
import pytest
from PIL import Image

from empirical import files
from empirical.chain import loop, scan
from empirical.embedded.digits import CAPTIONS
from empirical.pipeline import model, truncation
from empirical.recipe import parse
from tests.helpers.random_pipelines import tiny_xl
from tests.helpers.tiny_chain import tiny

LONG = "a handwritten digit seven " * 8


def remarks(base, captions):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        truncation.warn(base, captions)
    return [str(warning.message) for warning in caught]


def equal(base, first, second):
    return bool((base.embed([first]).hidden == base.embed([second]).hidden).all())


def test_captions_that_are_read_to_their_end_are_not_mentioned(digits):
    assert remarks(digits, CAPTIONS * 3) == []


def test_captions_that_become_one_prompt_are_named_with_the_limit(digits):
    first, second = LONG + "in red", LONG + "in blue"
    assert equal(digits, first, second)
    cut, same = remarks(digits, [first, second, first, CAPTIONS[0]])
    assert cut.startswith("2 of 3 different captions are longer than the 12 tokens")
    assert same.startswith("2 different captions are alike in the 12 tokens")
    assert "in red' and '" in same
    assert same.endswith("in blue'")


def test_captions_that_are_cut_but_differ_before_are_only_said_to_be_cut(digits):
    (cut,) = remarks(digits, [LONG, "a cat " + LONG])
    assert "truncated: 2 (" in cut


def test_captions_that_differ_in_what_a_tokenizer_ignores_are_named(digits):
    first, second = CAPTIONS[0], CAPTIONS[0].upper()
    assert equal(digits, first, second)
    (same,) = remarks(digits, [first, second])
    assert "2 different captions become the same tokens" in same
    assert f"'{first}' and '{second}'" in same


@pytest.fixture(scope="module")
def xl(tmp_path_factory):
    return tiny_xl(tmp_path_factory.mktemp("xl"))


def test_two_encoders_are_alike_only_where_both_are(xl):
    base = model.load(str(xl))
    first, second = LONG + "in red", LONG + "in blue"
    assert len(remarks(base, [first, second])) == 2
    # A second encoder that reads on tells them apart.
    base.pipeline.tokenizer_2.model_max_length = 1000
    base.pipeline.text_encoder_2.config.max_position_embeddings = 1000
    (cut,) = remarks(base, [first, second])
    assert "the 12 tokens" in cut


def test_a_tokenizer_without_a_limit_has_its_encoders(xl):
    base = model.load(str(xl))
    for tokenizer in (base.pipeline.tokenizer, base.pipeline.tokenizer_2):
        tokenizer.model_max_length = int(1e30)
    assert "the 12 tokens" in remarks(base, [LONG])[0]


@pytest.fixture
def photos(tmp_path):
    """Four images with two captions, which become one prompt."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        pixels = np.full((32, 32), 60 * i, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(LONG + ("in red" if i % 2 else "in blue"))
    return folder


def test_a_chain_says_so_before_it_begins(digits, photos, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recipe = parse({"data": {"name": str(photos), "size": 4}})
        prepared = loop.prepare(recipe, tmp_path / "run", digits)
    cut, same = (str(warning.message) for warning in caught)
    assert "truncated: 2" in cut
    assert "alike in the 12 tokens" in same
    assert prepared.warnings == (cut, same)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_and_a_scan_record_it(digits, photos, tmp_path):
    table = {"name": str(photos), "size": 4}
    run = loop.run(tiny(generations=1, data=table), tmp_path / "run", base=digits)
    longer = loop.run(tiny(generations=2, data=table), tmp_path / "run", base=digits)
    assert len(files.read_json(run.folder / "provenance.json")["sessions"]) == 2
    cut, same = longer.warnings()
    assert "truncated: 2" in cut
    assert "alike in the 12 tokens" in same
    planned = scan.plan(tiny(data=table), [1.0], tmp_path / "scan")
    assert scan.scan(planned, base=digits).run.warnings() == [cut, same]


def test_a_run_without_such_captions_has_no_warning(tiny_run):
    assert tiny_run.warnings() == []
