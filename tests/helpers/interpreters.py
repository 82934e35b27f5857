"""Further Pythons of this machine: on the path, pyenv's and uv's."""

import os
import shutil
import subprocess
from pathlib import Path


def interpreter(version: str) -> str | None:
    """Return an interpreter of a version such as "3.12" that can make virtual environments."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    managed = Path(
        os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local" / "share" / "uv/python"
    )
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True),
        *sorted(managed.glob(f"cpython-{version}.*/bin/python"), reverse=True),
    ]
    return next((str(path) for path in candidates if path and starts(path, version)), None)


def starts(path: str | Path, version: str) -> bool:
    """Whether a path is an interpreter of a version; a shim of pyenv may stand for none."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        run = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return run.stdout.strip() == version
