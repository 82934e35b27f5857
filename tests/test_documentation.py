"""The documentation: generated pages state what the code does, and the site builds strictly."""

import html
import inspect
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

import qtm
from docs.pages import included, recipe, reference, text, tutorial
from empirical.guidance import every_rule
from empirical.recipe import Recipe, parse
from empirical.remedies import Remedy

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def recipes():
    return recipe.page()


def rows(page, heading):
    """The rows of the first table below a heading, by their first cell."""
    below = page.split(f"\n{heading}", 1)[1].split("\n| --- ", 1)[1]
    lines = below.split("\n\n", 1)[0].splitlines()[1:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {first.strip("`"): others for first, *others in cells}


def test_the_reference_of_recipes_has_every_key_with_its_default_and_meaning(recipes):
    assert parse(tomllib.loads(recipes.split("```toml\n")[1].split("```")[0])) == Recipe()
    for name, field in Recipe.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            table = rows(recipes, f"## `[{name}]`")
            assert set(table) == set(field.annotation.model_fields)
            assert all(len(cells) == 3 and cells[2] for cells in table.values()), table


def test_the_reference_of_recipes_states_what_validation_allows(recipes):
    table = rows(recipes, "## `[finetune]`")
    assert table["method"][:2] == ['`"lora"`', '`"lora"`, `"full"`']
    assert table["learning_rate"][:2] == ["`0.0005`", "number above 0 and at most 1"]
    assert rows(recipes, "## `[data]`")["size"][:2] == ["`500`", "whole number at least 2"]
    replicates = rows(recipes, "## `[measure]`")["replicates"]
    assert replicates[1] == '`"auto"`, or whole number at least 0'


def test_the_reference_of_recipes_has_every_rule_and_remedy(recipes):
    remedies = {
        kind.model_json_schema()["properties"]["name"]["const"]: kind
        for kind in Remedy.__subclasses__()
    }
    for name, kind in {**every_rule(), **remedies}.items():
        keys = set(kind.model_fields) - {"rule", "name"}
        if keys:
            assert set(rows(recipes, f"### `{name}`")) == keys
        else:
            assert f"\n### `{name}`\n" in recipes


def test_a_changed_model_changes_the_reference():
    class Table(BaseModel):
        model_config = ConfigDict(use_attribute_docstrings=True)

        kind: Literal["a_b", "c"] = "c"
        """One | two."""
        number: Annotated[int, Field(ge=2, lt=9)]
        name: Annotated[str, Field(min_length=1)] | None = None

    assert recipe.keys(Table.model_json_schema()["properties"]).splitlines()[2:] == [
        '| `kind` | `"c"` | `"a_b"`, `"c"` | One &#124; two. |',
        "| `number` | required | whole number at least 2 and below 9 |  |",
        "| `name` | none | text |  |",
    ]


def test_the_reference_of_the_api_has_every_exported_name():
    pages = reference.pages()
    headings = set(re.findall(r"heading: (\S+)", "".join(pages.values())))
    modules = {name for name in qtm.__all__ if inspect.ismodule(getattr(qtm, name))}
    assert {f"qtm.{name}" for name in set(qtm.__all__) - modules} <= headings
    assert {f"qtm.results.{name}" for name in qtm.results.__all__} <= headings
    assert {"empirical.Chain", "empirical.Recipe", "analysis.fit", "analysis.Result"} <= headings
    for path, page in pages.items():
        assert page.startswith("# "), path
        assert path == "api/index.md" or f"]({Path(path).name})" in pages["api/index.md"]


def test_docstrings_are_shown_literally():
    shown = text.prose("m* = m and V* = a_b_c <x> `a_b` [t]\n\n    code_x * 2\nafter")
    assert html.unescape(shown) == (
        "m* = m and V* = a_b_c <x> `a_b` [t]\n\n    code_x * 2\n\nafter"
    )
    assert not set("*_<>[]") & set(re.sub(r"`[^`]*`", "", shown.partition("\n")[0]))
    assert text.prose("a = b,   c = d\ne = f") == "a = b,   c = d<br>\ne = f"


def test_written_pages_link_only_to_what_the_site_has():
    for path in sorted((ROOT / "docs").glob("**/*.md")):
        file = path.relative_to(ROOT).as_posix()
        included.relinked(path.read_text(), file)


def test_links_of_the_repository_become_those_of_the_site():
    page = "[a](../LOG.md) [b](forms.md#verbs) [c](https://a.org/b.md) [d](#there) ![e](x.png)"
    assert included.relinked(page, "docs/x.md") == (
        "[a](log.md) [b](forms.md#verbs) [c](https://a.org/b.md) [d](#there) ![e](x.png)"
    )
    assert included.relinked("[a](docs/forms.md)", "LOG.md") == "[a](forms.md)"
    card = "empirical/models/digits/README.md"
    assert included.relinked("[a](../../../LOG.md)", card) == "[a](../log.md)"
    with pytest.raises(ValueError, match=r"no page for 'qtm/x\.py'"):
        included.relinked("[a](../qtm/x.py)", "docs/x.md")


def test_tutorials_show_output_values_and_figures_of_their_cells():
    source = (
        "A\n\n```python\nfrom pathlib import Path\nx = 2\nprint('b')\nx + 1\n```\n\n"
        "```sh\nrm -rf never\n```\n\n```python\nfrom matplotlib.figure import Figure\n"
        "Path('kept').touch()\nFigure(figsize=(1, x))\n```\n"
    )
    shown, pictures = tutorial.executed(source, "name")
    assert '```text title="Output"\nb\n3\n```' in shown
    assert "](name-1.png)" in shown
    assert pictures["name-1.png"].startswith(b"\x89PNG")
    assert not Path("kept").exists()
    assert (
        re.sub(r"```text.*?```\n\n|!\[.*?\)\n", "", shown, flags=re.DOTALL).split()
        == source.split()
    )
    with pytest.raises(RuntimeError, match="name, cell of line 5: ZeroDivisionError"):
        tutorial.executed("A\n\n\n```python\n1 / 0\n```\n", "name")


class Page(HTMLParser):
    """Anchors, links and sources of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.sources = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "link") and values.get("rel") != "canonical":
            self.sources += [values[key] for key in ("src", "href") if values.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly: a warning ends the build."""
    pytest.importorskip("mkdocs", reason="the documentation needs the extra 'docs'")
    from tests.helpers.package_copies import call

    folder = tmp_path_factory.mktemp("documentation") / "site"
    result = call(ROOT, "-m", "mkdocs", "build", "--strict", "--site-dir", folder)
    assert result.returncode == 0, result.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_links_of_the_site_lead_to_pages_and_anchors(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 30
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.sources]:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            file = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].anchors
                                      and not anchor.startswith("__")):  # fmt: skip
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


@pytest.mark.slow
def test_tutorials_are_shown_with_their_outputs(site):
    written = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
    assert written
    for path in written:
        shown = (site / "tutorials" / f"{path.stem}.html").read_text()
        assert ">Output<" in shown, path
        assert f'src="{path.stem}-1.png"' in shown, path


@pytest.mark.slow
def test_the_site_asks_no_other_server_for_anything(site):
    outside = {
        f"{path.relative_to(site)}: {source}"
        for path in site.rglob("*.html")
        for source in Page(path).sources
        if re.match(r"(https?:)?//", source)
    }
    assert outside == set()
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?(https?:)?//", styles)
