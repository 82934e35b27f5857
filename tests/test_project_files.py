"""Files about the project agree with each other: versions, Pythons, suites, types."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests import test_pythons, test_wheel

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RELEASES = re.findall(r"^## ([\d.]+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
PYTHONS = [
    line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)
]


def commands(workflow, job):
    return [step["run"] for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if "run" in step]


def test_the_version_is_the_newest_of_the_changelog_and_of_the_citation():
    assert RELEASES[0] == (PROJECT["version"], CITATION["date-released"].isoformat())
    assert CITATION["version"] == PROJECT["version"]
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    assert versions == sorted(set(versions), reverse=True)


def test_citation_and_metadata_name_the_same_authors_and_licence():
    assert [each["name"] for each in CITATION["authors"]] == [a["name"] for a in PROJECT["authors"]]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["references"][0]["url"] == PROJECT["urls"]["Paper"]
    assert PROJECT["urls"]["Paper"] in (ROOT / "README.md").read_text()


def test_workflows_try_every_python_of_the_metadata_and_its_suites():
    theory = WORKFLOWS["tests"]["jobs"]["theory"]
    assert theory["strategy"]["matrix"]["python"] == PYTHONS
    assert PYTHONS[0] == PROJECT["requires-python"].removeprefix(">=")
    suites = commands("tests", "theory")[-1].split()
    assert tuple(word for word in suites if word.startswith("tests/")) == test_pythons.SUITES


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_workflows_start_targets_that_exist_and_publish_nothing(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    lines = [line for job in WORKFLOWS[workflow]["jobs"] for line in commands(workflow, job)]
    called = [target for line in lines for target in re.findall(r"\bmake ([a-z-]+)", line)]
    assert set(called) <= set(targets)
    assert lines


@pytest.mark.parametrize("package", test_wheel.PACKAGES)
def test_packages_declare_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()
