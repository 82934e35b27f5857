"""Copies of the packages to which a test adds files, and Python on such a copy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_of(folder: Path, packages: Iterable[str]) -> Path:
    """Copy packages into a folder: their sources; all other files are links to the originals."""
    for package in packages:
        passing = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=passing, copy_function=_copied)
    return folder


def call(copy: Path, *words: object) -> subprocess.CompletedProcess:
    """Run Python on the copy; all that is not in it comes from the checkout."""
    path = os.pathsep.join([str(copy), str(ROOT)])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _copied(source: str, target: str) -> None:
    if source.endswith(".py"):
        shutil.copy2(source, target)
    else:
        Path(target).symlink_to(source)
