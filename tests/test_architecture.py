"""The direction of every import, and what must work without torch."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHAIN = {"torch", "diffusers", "peft", "transformers", "safetensors", "mlxtend", "accelerate"}
# What a package may import of the others. The command line alone may import all.
ALLOWED = {
    "qtm": set(),
    "empirical": set(),
    "analysis": {"qtm", "empirical"},
    "figures": {"analysis", "empirical", "qtm"},
}
RECORDS = {"empirical.runs.record", "empirical.errors", "empirical.runs.files"}


def imports(path):
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    others = set(ALLOWED) - {package} - ALLOWED[package]
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name == "__main__.py" or path.parent.name == "commands":
            continue
        for module in imports(path):
            assert module.split(".")[0] not in others, f"{path} imports {module}"


@pytest.mark.parametrize("package", ["analysis", "figures"])
def test_fits_and_figures_read_records_and_nothing_else_of_a_chain(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for module in imports(path):
            if module.startswith("empirical."):
                assert ".".join(module.split(".")[:2]) in RECORDS, f"{path} imports {module}"
            assert module.split(".")[0] not in CHAIN, f"{path} imports {module}"


# As if the libraries of a chain were not installed.
BARE = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(CHAIN)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def in_a_fresh_process(code, *arguments, before=BARE):
    words = [sys.executable, "-c", before + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_run_is_read_fitted_and_reported_without_torch(tiny_run, tmp_path):
    result = in_a_fresh_process(
        """
        from pathlib import Path
        import qtm, analysis, figures
        from empirical.runs.record import open_run
        from figures.report import page as report
        run = open_run(Path(sys.argv[1]))
        assert len(run.moments()) > 0 and run.generation(1).images().shape[0] == 20
        qtm.LifeCycle
        report.write([run], Path(sys.argv[2]), "t", report.fits([run]))
        """,
        tiny_run.folder,
        tmp_path / "report.html",
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_recipe_and_chain_are_at_hand_and_only_a_chain_needs_torch():
    result = in_a_fresh_process(
        """
        from empirical import Recipe
        assert Recipe(generations=3).generations == 3
        assert "torch" not in sys.modules
        try:
            from empirical import Chain
        except ModuleNotFoundError as error:
            assert error.name in ("torch", "diffusers"), error
        else:
            raise AssertionError("a chain without torch")
        """
    )
    assert result.returncode == 0, result.stderr
    from empirical import Chain, Recipe

    assert Chain(Recipe(), Path("out")).recipe.generations == 6


def test_without_torch_the_command_line_says_what_to_install(tmp_path):
    (tmp_path / "r.toml").write_text("")
    result = in_a_fresh_process(
        """
        sys.argv = ["qtm", "chain", "run", sys.argv[1], "--out", sys.argv[2]]
        from qtm.__main__ import main
        main()
        """,
        tmp_path / "r.toml",
        tmp_path / "run",
    )
    assert result.returncode == 2
    assert "diffusion-qtm[chain]" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_loads_nothing_heavy():
    result = in_a_fresh_process(
        """
        import sys
        from qtm.__main__ import app
        heavy = {"torch", "jax", "numpy", "pandas", "matplotlib", "scipy", "diffusers"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_no_file_has_outgrown_its_room():
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path
