"""The wheel, installed far from any checkout, is all of the package."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("qtm", "empirical", "analysis", "figures")
PASSING = shutil.ignore_patterns("__pycache__")


def run(words, folder, **environment):
    """Run a command away from the checkout, with nothing in the environment that leads to it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    # Settings that the suite makes for itself are none of a user's.
    for name in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS"):
        kept.pop(name, None)
    words = [str(word) for word in words]
    done = subprocess.run(
        words, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources: a build leaves its files in their folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / "sources" / package, ignore=PASSING)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    run([sys.executable, *words, folder, folder / "sources"], folder)
    (path,) = folder.glob("diffusion_qtm-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The scripts of an environment that holds the wheel and sees the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", folder], folder.parent)
    scripts = folder / "bin"
    pip = [scripts / "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    run(pip, folder.parent)
    (libraries,) = (folder / "lib").glob("python*/site-packages")
    # A folder named in a .pth is searched last, and its own .pth files, such as that of an
    # editable install of the checkout, are not read.
    (libraries / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    code = f"import {', '.join(PACKAGES)}\nfor m in ({', '.join(PACKAGES)}): print(m.__file__)"
    for line in run([scripts / "python", "-c", code], folder.parent).split():
        assert Path(line).is_relative_to(libraries), line
    return scripts


def test_every_file_of_the_packages_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files


def test_theory_and_fits_run_from_it(installed, tmp_path):
    qtm = installed / "qtm"
    words = ["--selection", "stabilizing optimum=0.5 width2=4", "--size", 50]
    words += ["--generations", 6, "--seed", 3, "--csv", "path.csv"]
    assert "variance" in run([qtm, "simulate", *words], tmp_path)
    assert len((tmp_path / "path.csv").read_text().splitlines()) == 8
    (tmp_path / "grid.toml").write_text(
        "generations = 3\n[selection]\nform = 'Stabilizing'\noptimum = 0.0\nwidth2 = [1.0, 5.0]\n"
    )
    run([qtm, "sweep", "grid.toml", "--out", "grid.zarr"], tmp_path)
    assert (tmp_path / "grid.zarr" / "mean").is_dir()
    run([qtm, "derive"], tmp_path)
    series = ["generation,mean,variance,n"]
    series += [f"{t},{0.3 * t + 0.1 * (-1) ** t},1.0,50" for t in range(8)]
    (tmp_path / "series.csv").write_text("\n".join(series) + "\n")
    run([qtm, "fit", "series.csv", "--out", "fit"], tmp_path)
    assert (tmp_path / "fit" / "parameters.csv").is_file()
    assert not list(tmp_path.glob("qtm"))


def test_figures_of_the_kept_runs_are_drawn_from_it(installed, tmp_path):
    listed = run([installed / "qtm", "figures", "--list"], tmp_path)
    run([installed / "qtm", "figures", "--out", "figures", "--format", "png"], tmp_path)
    drawn = list((tmp_path / "figures").glob("*.png"))
    assert len(drawn) == len(listed.strip().splitlines())


def test_the_demo_runs_from_it(installed, tmp_path):
    run([installed / "qtm", "demo"], tmp_path)
    report = (tmp_path / "runs" / "demo" / "report.html").read_text()
    assert len(report) > 200_000
    assert "Four Chains of Diffusion" in report
