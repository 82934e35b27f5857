"""Provenance of a run: code, versions, machine, times."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "diffusion-qtm", "torch", "diffusers", "peft", "transformers", "safetensors", "numpy",
    "pandas", "pillow",
)  # fmt: skip


def now() -> str:
    """Return the current time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def of_this_process(device: str) -> dict[str, Any]:
    """Return commit, versions and machine of the running process."""
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": device,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the checkout of this code, with '+' where it has been changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may lie below someone else's checkout.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
