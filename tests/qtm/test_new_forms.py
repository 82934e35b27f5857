"""A form is one file with one class: found by `import qtm`, the command line and the tests."""

import ast
import importlib
import inspect
import shutil
from pathlib import Path

import pytest

import qtm
from qtm import _forms
from tests.helpers import documented
from tests.helpers.package_copies import ROOT, call, copy_of

# The examples of the documentation.
SHOWN = {k: v for k, v in documented.files("extending.md").items() if k.startswith("qtm/")}
SELECTION = SHOWN["qtm/selection/tilted.py"]
INHERITANCE = '''
from qtm._parts import Part
from qtm.inheritance import Inheritance
from qtm.selection.directional import Directional
from qtm.states import Individuals, Moments


class Forgetful(Inheritance):
    """The model takes up half of the mean, no selection, and trains on 4 images whatever N is."""

    def moments(self, state):
        return Moments(state.mean / 2, state.variance)

    def individuals(self, state, key):
        return Individuals(state.values - state.mean / 2)

    def seen_by(self, selection):
        return Directional(0.0)

    def training_set(self, before, size, generation):
        return Drift()


class Drift(Part):
    """Not a form: no inheritance."""

    def moments(self, state, key=None):
        return Moments(state.mean, state.variance * 0.75)
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of qtm and of its tests with the new forms."""
    root = copy_of(tmp_path_factory.mktemp("copy"), ("qtm", "tests"))
    for path, content in SHOWN.items():
        (root / path).write_text(content)
    (root / "qtm" / "inheritance" / "forgetful.py").write_text(INHERITANCE)
    return root


def test_import_finds_new_forms_without_jax(copy):
    code = """
import sys, qtm
new = {"Tilted", "Drive", "Fading", "Forgetful"}
assert new <= set(qtm.__all__) and new <= set(dir(qtm)), qtm.__all__
assert "jax" not in sys.modules and "numpy" not in sys.modules
assert "Drift" not in qtm.__all__
from qtm import *
from qtm.selection import Tilted as same
assert Tilted is same is qtm.Tilted
cycle = LifeCycle(Forgetful(), Tilted(0.5), Drive(2.0), size=10)
after = cycle.step(Moments(1.0, 4.0))
assert (after.mean, after.variance) == (2.5, 3.0), after
for state in (Density.normal(), Moments.multivariate([0.0], [[1.0]])):
    try:
        LifeCycle(mutation=Drive(0.0)).step(state)
    except ValueError as error:
        print(error)
"""
    result = call(copy, "-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "Drive has no form for Density.",
        "Drive has no form for JointMoments.",
    ]


def test_the_command_line_finds_new_forms(copy):
    result = call(copy, "-m", "qtm", "forms")
    for line in ("Tilted slope", "Drive distance", "Fading kept", "Forgetful"):
        assert f"  {line}\n" in result.stdout, result.stderr
    words = ["--generations", 1, "--size", 10, "--state", "Moments mean=1 variance=4"]
    words += ["--inheritance", "forgetful", "--mutation", "drive distance=2"]
    result = call(copy, "-m", "qtm", "simulate", *words, "--selection", "tilted slope=0.5")
    assert result.stdout.split()[-3:] == ["1", "2.5", "3.0"], result.stderr
    words[words.index("forgetful")] = "fading kept=0.5"
    result = call(copy, "-m", "qtm", "simulate", *words)
    assert result.stdout.split()[-3:] == ["1", "3.0", "1.8"], result.stderr


def test_the_command_line_takes_forms_of_other_packages(qtm, tmp_path, monkeypatch):
    (tmp_path / "plain_forms.py").write_text(SELECTION)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["simulate", "--generations", 1, "--selection"]
    code, out, _ = qtm(*words, "plain_forms:Tilted slope=0.5")
    assert (code, out.split()[-3:]) == (0, ["1", "0.5", "1.0"])
    for line, message in {
        "plain_forms:Nothing": "'plain_forms:Nothing' cannot be imported",
        "nowhere:Form": "'nowhere:Form' cannot be imported",
        "plain_forms:Moments": "'plain_forms:Moments' is no selection",
    }.items():
        code, _, error = qtm(*words, line)
        assert code == 2
        assert message in error


@pytest.mark.slow
def test_the_tests_find_new_forms(copy):
    names = "Tilted or Drive or Fading or Forgetful"
    chosen = f"({names}) and (elementwise or finite_differences or exported)"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", chosen]
    files = [copy / "tests" / "qtm" / name for name in ("test_forms.py", "test_package.py")]
    result = call(copy, *words, *files)
    assert "12 passed" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("folder", _forms.ABSTRACT)
def test_class_statements_are_read_as_python_reads_them(folder):
    """The same classes as importing every file finds."""
    package = importlib.import_module(f"qtm.{folder}")
    base = getattr(package, _forms.ABSTRACT[folder])
    expected = {}
    for path in Path(package.__path__[0]).glob("[!_]*.py"):
        module = importlib.import_module(f"qtm.{folder}.{path.stem}")
        for name, value in vars(module).items():
            of_base = inspect.isclass(value) and issubclass(value, base)
            if of_base and value.__module__ == module.__name__ and not name.startswith("_"):
                expected[name] = module.__name__
    assert _forms.modules(folder) == expected


def test_two_forms_of_one_name_are_refused(copy, tmp_path):
    shutil.copytree(copy / "qtm", tmp_path / "qtm")
    shutil.copy(copy / "qtm" / "selection" / "tilted.py", tmp_path / "qtm" / "selection" / "a.py")
    result = call(tmp_path, "-c", "import qtm; qtm.Tilted")
    assert "a.py and tilted.py both define the form Tilted" in result.stderr


def test_names_for_type_checkers_are_current():
    """Each is where it says it is; a form may be missing there, anything else may not."""
    tree = ast.parse((ROOT / "qtm" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    listed = set()
    for statement in block.body:
        module = importlib.import_module(statement.module)
        for alias in statement.names:
            assert getattr(qtm, alias.name) is getattr(module, alias.name)
            listed.add(alias.name)
    assert set(qtm.__all__) - set(_forms.all_modules()) <= listed <= set(qtm.__all__)
