"""Grids of chains: their chains, names, and error messages."""

from pathlib import Path
from typing import get_args

import pytest

from empirical import recipe
from empirical.errors import UserError
from empirical.remedies import Remedy
from empirical.sweeps import grid

RECIPES = Path(recipe.__file__).parent / "recipes"
DROP = {"name": "condition_drop", "probability": 0.2}


def test_the_product_of_axes_and_arms():
    chains = grid.parse(
        {
            "generations": 3,
            "finetune": {"rank": 4},
            "sweep": {"seed": [0, 1]},
            "arms": [
                {"name": "base", "sweep": {"generate.guidance.scale": [1.0, 7.5]}},
                {"name": "drop", "remedy": DROP, "finetune": {"steps": 9}},
            ],
        }
    )
    assert list(chains) == [
        "base,guidance.scale=1,seed=0",
        "base,guidance.scale=1,seed=1",
        "base,guidance.scale=7.5,seed=0",
        "base,guidance.scale=7.5,seed=1",
        "drop,seed=0",
        "drop,seed=1",
    ]
    chain = chains["base,guidance.scale=1,seed=1"]
    assert (chain.seed, chain.generate.guidance.scale, chain.remedy) == (1, 1.0, None)
    drop = chains["drop,seed=0"]
    assert drop.remedy.model_dump() == DROP
    # Tables are merged: keys that the arm lacks are the grid's.
    assert (drop.finetune.rank, drop.finetune.steps) == (4, 9)


def test_another_kind_of_rule_replaces_the_whole_table():
    decay = {"rule": "decay", "scale": 5.0, "rate": 1.0}
    chains = grid.parse(
        {
            "generate": {"guidance": {"rule": "constant", "scale": 7.5}},
            "arms": [{"name": "decay", "generate": {"guidance": decay}}],
            "sweep": {"generate": {"guidance": {"scale": [2.0]}}},
        }
    )
    (only,) = chains.values()
    assert (only.generate.guidance.rule, only.generate.guidance.scale) == ("decay", 2.0)


def test_without_axes_there_is_one_chain():
    assert list(grid.parse({"generations": 2})) == ["chain"]


def test_names_are_safe_stable_and_different():
    table = {
        "sweep": {
            "data.name": ["digits", "/a b/c", "/a-b/c", "/a/b\x00c", "x" * 300],
            "remedy": [DROP, {**DROP, "probability": 0.5}, {"name": "redifine"}],
            "finetune.targets": [["to_q"], ["to_q", "to_k"]],
        }
    }
    names = list(grid.parse(table))
    assert len(names) == len({name.casefold() for name in names}) == 30
    for name in names:
        assert len(name) <= 150
        assert not set(name) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=+-,~"
        )
    assert "data.name=digits,remedy=redifine,finetune.targets=to_q+to_k" in names
    assert names == list(grid.parse(table))
    more = {"sweep": {**table["sweep"], "data.name": table["sweep"]["data.name"][:2]}}
    assert set(grid.parse(more)) < set(names)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"swep": {}}, r"unknown key 'swep' \(did you mean 'sweep'\?\)"),
        ({"seeds": [0]}, "write 'seed = "),
        ({"sweep": {"finetune.rnk": [1]}}, "did you mean 'finetune.rank'"),
        ({"sweep": {"guidance.scale": [1.0]}}, "did you mean 'generate.guidance.scale'"),
        ({"sweep": {"finetune.rank": 4}}, "is 4, it must be a list"),
        ({"sweep": {"finetune.rank": []}}, r"is \[\], it must be a list"),
        ({"sweep": {"finetune.rank": [4, 4]}}, "has the value 4 twice"),
        ({"sweep": {"finetune.rank": [4, -1]}}, "'finetune.rank=-1'.*must be greater than 0"),
        ({"sweep": 3}, "is 3, it must map"),
        ({"arms": {}}, r"headed \[\[arms\]\]"),
        ({"arms": [{"name": "a"}, {"remedy": DROP}]}, "arm 2 of the grid is None"),
        ({"arms": [{"name": "../a"}]}, "'../a', it must begin"),
        ({"arms": [{"name": "a", "remdy": DROP}]}, "arm 'a'.*did you mean 'remedy'"),
        ({"arms": [{"name": "a"}, {"name": "A"}]}, "two chains with the name 'A'"),
        ({"arms": [{"name": "a"}, {"name": "b"}]}, "'a' and 'b' of the grid have the same recipe"),
        ({"arms": [{"name": "a", "remedy": {"name": "magic"}}]}, "the chain 'a'.*'magic'"),
        (
            {"sweep": {"seed": [0]}, "arms": [{"name": "a", "sweep": {"seed": [1]}}]},
            "'seed' is swept by the arm 'a'",
        ),
        ({"generate": 3, "sweep": {"seed": [0]}}, "'generate' is 3, it must be a table"),
    ],
)
def test_a_mistake_is_one_sentence(table, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        grid.parse(table)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "there is no grid"), (b"a = ", "not valid TOML"), (b"\xff", "cannot be read")],
)
def test_a_file_that_is_no_grid(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "g.toml").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        grid.read(tmp_path / "g.toml")


@pytest.mark.parametrize("path", sorted((RECIPES / "grid").glob("*.toml")), ids=lambda p: p.stem)
def test_our_grids_are_valid(path):
    assert len(grid.read(path).chains) >= 2


def test_our_grids_have_every_remedy_with_two_seeds():
    seeds = {}
    for path in (RECIPES / "grid").glob("*.toml"):
        for chain in grid.read(path).chains.values():
            name = None if chain.remedy is None else chain.remedy.name
            seeds.setdefault(name, set()).add(chain.seed)
    known = {get_args(kind.model_fields["name"].annotation)[0] for kind in Remedy.__subclasses__()}
    assert seeds.keys() == {None, *known}
    assert all(present >= {0, 1} for present in seeds.values())
