"""The direction of every import, and what must work without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import structure
from tests.helpers.fresh_process import CHAIN_LIBRARIES, ROOT, run_without_chain_libraries


def test_no_import_runs_up():
    assert structure.upward() == []


def test_no_imports_run_in_a_circle():
    assert structure.circles(structure.module_arrows()) == []
    assert structure.circles(structure.room_arrows()) == []


def test_fits_and_figures_name_no_library_of_a_chain():
    for module, path in structure.files().items():
        if module.startswith(("qtm", "analysis", "figures")):
            for target in structure.imports(path):
                assert target.split(".")[0] not in CHAIN_LIBRARIES, f"{module} imports {target}"


@pytest.fixture
def small(tmp_path):
    """Four packages with a circle of two modules, and an import that runs up, in a function."""
    for name, text in {
        "qtm/a.py": "def late():\n    import figures.top\n",
        "empirical/__init__.py": "",
        "analysis/rooms/b.py": "from analysis.rooms import c\nfrom qtm import a\n",
        "analysis/rooms/c.py": "from analysis.rooms.b import name\n",
        "figures/top.py": "import analysis.rooms.b\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_what_is_wrong_is_found(small):
    assert structure.upward(small) == [("qtm.a", "figures.top")]
    circles = structure.circles(structure.module_arrows(small))
    assert circles == [["analysis.rooms.b", "analysis.rooms.c", "figures.top", "qtm.a"]]
    loaded = structure.module_arrows(small, runtime=True)
    assert structure.circles(loaded) == [["analysis.rooms.b", "analysis.rooms.c"]]
    assert structure.floors([("a", "b"), ("b", "c"), ("c", "b"), ("a", "d")]) == 2


def test_a_package_of_a_user_adds_its_commands(tmp_path):
    """A distribution as pip installs it: a module, and what it registers."""
    (tmp_path / "strangers.py").write_text(
        """
import typer

app = typer.Typer()


class Refused(Exception):
    exit_code = 2


@app.command()
def stranger(fail: bool = False) -> None:
    "Greet from another package."
    if fail:
        raise Refused("nobody is there to be greeted")
    print("hello from another package")
"""
    )
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    info = tmp_path / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qtm.commands]\nstrangers = strangers:app\nbroken = broken:app\n"
    )

    def qtm(*words):
        return subprocess.run(
            [sys.executable, "-m", "qtm", *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            check=False,
        )

    shown = qtm("--help")
    assert "Greet from another package." in shown.stdout
    assert "simulate" in shown.stdout
    assert "the commands 'broken:app' cannot be loaded" in shown.stderr
    assert qtm("stranger").stdout == "hello from another package\n"
    refused = qtm("stranger", "--fail")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == "qtm: nobody is there to be greeted"


def test_a_run_is_read_without_torch(tiny_run):
    result = run_without_chain_libraries(
        """
        from pathlib import Path
        import qtm, analysis, figures
        from analysis.arms.read import arm
        from empirical.runs.record import open_run
        from figures.report import page
        run = open_run(Path(sys.argv[1]))
        assert len(run.moments()) > 0 and run.generation(1).images().shape[0] == 20
        assert arm(run).generations == 2
        qtm.LifeCycle
        """,
        tiny_run.folder,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_run_is_read_fitted_and_reported_without_torch(tiny_run, tmp_path):
    result = run_without_chain_libraries(
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
    result = run_without_chain_libraries(
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
    result = run_without_chain_libraries(
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
    result = run_without_chain_libraries(
        """
        import sys
        from qtm.__main__ import command_line
        command_line()
        heavy = {"torch", "jax", "numpy", "pandas", "matplotlib", "scipy", "diffusers"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
