"""README.md: short, and true of the code, for a reader who has nothing else."""

import doctest
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from empirical.recipe import parse
from qtm.__main__ import command_line

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
# Documents that show commands.
COMMANDS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_it_has_at_most_100_lines():
    lines = README.splitlines()
    assert len(lines) <= 100
    assert [line for line in lines if len(line) > 120 and not line.startswith("![")] == []


def test_its_python_prints_what_it_shows():
    (source,) = blocks(README, "python")
    example = doctest.DocTestParser().get_doctest(source, {}, "README.md", "README.md", 0)
    assert 5 < len(example.examples) <= 10
    failures = []
    # An editor removes the blanks at the end of a line that pandas prints.
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=failures.append).failed == 0, "".join(failures)


def test_its_links_lead_to_files_of_the_repository():
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    files = [link.partition("#")[0] for link in links if "://" not in link]
    assert "docs/collapse.png" in files
    assert [file for file in files if not (ROOT / file).is_file()] == []
    linked = {Path(file).name for file in files}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - linked <= {"forms.md"}


def test_its_recipe_is_valid():
    (text,) = re.findall(r"printf '(.*)' > recipe\.toml", README)
    recipe = parse(tomllib.loads(text.replace("\\n", "\n")))
    assert (recipe.model.name, recipe.data.size) == ("emoji", 200)


def parse_calls(text):
    """Parse the calls of `qtm` in the shell blocks of a document: commands, options and types of
    values; nothing runs."""
    for block in blocks(text, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["qtm"] or "--help" in words:
                continue
            command, words = get_command(command_line()), words[1:]
            while hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            command.make_context("qtm", words)


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_of_the_documents_can_be_parsed(place):
    parse_calls((ROOT / place).read_text())


@pytest.mark.parametrize("words", ["scan a.toml --into b", "forecast a --generations six"])
def test_a_wrong_command_is_found(words):
    with pytest.raises(Exception, match=r"--into|valid integer"):
        parse_calls(f"```sh\nqtm {words}\n```\n")
