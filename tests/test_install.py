"""Requirements: public releases, and every dependency pinned for every supported machine."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()
LINES = [line for line in CONSTRAINTS if line and not line.startswith("#")]
MACHINES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
TARGETS = [
    pytest.param(python, *machine, id=f"{python}-{machine[0]}-{machine[1]}")
    for python in ("3.11", "3.12", "3.13")
    for machine in MACHINES
]


def environment(python, system, machine):
    return default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
        "extra": "",
    }


def applies(requirement, target):
    return requirement.marker is None or requirement.marker.evaluate(target)


def direct():
    """Every requirement of pyproject.toml, those of its extras too."""
    optional = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for part in (PROJECT["dependencies"], *optional) for line in part]


@pytest.mark.parametrize("line", LINES, ids=lambda line: re.split("[=;]", line)[0])
def test_a_pin_is_one_public_release(line):
    pin = Requirement(line)
    assert pin.url is None
    assert [each.operator for each in pin.specifier] == ["=="]
    # The index of a stranger has no local versions such as 1.0+cpu, and a star pins nothing.
    assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier))


@pytest.mark.parametrize(("python", "system", "machine"), TARGETS)
def test_every_dependency_has_one_pin_that_it_allows(python, system, machine):
    target = environment(python, system, machine)
    pins = {}
    for pin in filter(lambda pin: applies(pin, target), map(Requirement, LINES)):
        name = canonicalize_name(pin.name)
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = next(iter(pin.specifier)).version
    for wanted in filter(lambda requirement: applies(requirement, target), direct()):
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), str(wanted)
