"""Whether the pinned releases install on every supported machine, and how much is downloaded.

For each Python, platform and set of extras, uv resolves pyproject.toml under constraints.txt as
on that machine (environment markers and wheel tags are the target's, not those of this one),
from PyPI alone, wheels only, without any local configuration. Metadata is read, no wheel is
downloaded. Needs access to the index, and uv, which is fetched into a temporary folder if absent.

`--pip` then repeats it with pip: natively by every interpreter of those versions that is found
here, and with `--platform`. Pip evaluates the markers of dependencies on the running machine, so
that the benchmarks are left out elsewhere, and across operating systems all but the theory: on
Linux torch asks for CUDA.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.interpreters import interpreter
from tests.verification.documents import ROOT
from tests.verification.expectations import Claim, exactly, near

CLAIMS = (
    Claim("docs/install.md", "Python 3.11, 3.12 or 3.13, on Linux (x86-64 or arm64) or macOS 14 or "
    "newer (arm64)."),
    Claim("docs/install.md", "| none | 225 MB, on macOS 170 MB | | PyPI's for Linux, with CUDA | 3 "
    "GB | | PyPI's for macOS | 320 MB |"),
    Claim("docs/install.md", "`make check-install` checks against the package index that the "
    "pinned versions have wheels for all supported machines."),
)  # fmt: skip
# Wheels of three Pythons differ by some MB; the mean of the targets is compared.
EXPECTED = {
    "targets without a wheel": exactly(0),
    "without torch, Linux (MB)": near(225, 12),
    "without torch, macOS (MB)": near(170, 12),
    "with torch, Linux (MB)": near(3000, 300),
    "with torch, macOS (MB)": near(320, 20),
}
SECONDS, MEMORY = 300, 0.5
NEEDS = ("network",)

INDEX = "https://pypi.org/simple"
PYTHONS = ("3.11", "3.12", "3.13")
# Name of a platform: uv's name, and pip's tags from the newest to the oldest.
PLATFORMS = {
    "linux-x86_64": (
        "x86_64-manylinux_2_28",
        [f"manylinux_2_{n}_x86_64" for n in range(28, 16, -1)]
        + ["manylinux2014_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64"],
    ),
    "linux-arm64": (
        "aarch64-manylinux_2_28",
        [f"manylinux_2_{n}_aarch64" for n in range(28, 16, -1)] + ["manylinux2014_aarch64"],
    ),
    "macos-arm64": ("aarch64-apple-darwin", [f"macosx_{n}_0_arm64" for n in range(14, 10, -1)]),
}
MACOS = "14.0"
PARTS = {
    "theory": (), "docs": ("docs",), "chain": ("chain",), "all": ("chain", "dev", "docs"),
    "bench": ("bench",),
}  # fmt: skip


def measure(
    python: tuple[str, ...] = PYTHONS,
    platform: tuple[str, ...] = tuple(PLATFORMS),
    pip: bool = False,
) -> dict[str, float]:
    failures, sizes = [], {}
    with tempfile.TemporaryDirectory(prefix="qtm-install-") as folder:
        uv = shutil.which("uv") or fetch_uv(Path(folder))
        print(f"{'python':8}{'platform':15}{'part':12}{'packages':>9}{'MB':>7}  result")
        for version in python:
            for machine in platform:
                for part, extras in PARTS.items():
                    packages, size, error = resolve(uv, version, machine, extras, Path(folder))
                    print(
                        f"{version:8}{machine:15}{part:12}{packages:9}{size / 1e6:7.0f}  "
                        f"{error or 'wheels for all'}",
                        flush=True,
                    )
                    failures += [error] if error else []
                    sizes.setdefault((part, machine), []).append(size / 1e6)
        if pip:
            failures += check_with_pip(python, platform, Path(folder))

    def size(part: str, machine: str) -> float:
        each = sizes.get((part, machine), [])
        return sum(each) / len(each) if each else float("nan")

    return {
        "targets without a wheel": len(failures),
        "without torch, Linux (MB)": size("theory", "linux-x86_64"),
        "without torch, macOS (MB)": size("theory", "macos-arm64"),
        "with torch, Linux (MB)": size("chain", "linux-x86_64"),
        "with torch, macOS (MB)": size("chain", "macos-arm64"),
    }


def clean_environment() -> dict[str, str]:
    """Return the environment without configuration of pip or uv, but with certificates."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
    certificates = {k: v for k, v in os.environ.items() if k == "PIP_CERT"}
    return {
        **kept,
        **certificates,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DEFAULT_TIMEOUT": "180",
        "UV_HTTP_TIMEOUT": "180",
        "MACOSX_DEPLOYMENT_TARGET": MACOS,
    }


def fetch_uv(folder: Path) -> str:
    """Install uv into a virtual environment in `folder` and return its path."""
    subprocess.run([sys.executable, "-m", "venv", folder / "uv"], check=True)
    pip = [folder / "uv" / "bin" / "pip", "install", "--quiet", "--index-url", INDEX, "uv"]
    subprocess.run(pip, check=True, env=clean_environment())
    return str(folder / "uv" / "bin" / "uv")


def resolve(
    uv: str, python: str, platform: str, extras: tuple[str, ...], folder: Path
) -> tuple[int, int, str]:
    """Return how many packages a target installs, their bytes, and an error or ""."""
    lock = folder / "pylock.toml"
    lock.unlink(missing_ok=True)
    command = [uv, "pip", "compile", "pyproject.toml", "--no-config", "--quiet"]
    command += ["--constraints", "constraints.txt", "--only-binary", ":all:"]
    command += ["--default-index", INDEX, "--no-header", "--output-file", str(lock)]
    command += ["--python-version", python, "--python-platform", PLATFORMS[platform][0]]
    command += [word for extra in extras for word in ("--extra", extra)]
    run = subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        return 0, 0, " ".join(lines[:2]) or f"uv exited with {run.returncode}"
    packages = tomllib.loads(lock.read_text())["packages"]
    size = sum(min(wheel["size"] for wheel in package["wheels"]) for package in packages)
    return len(packages), size, ""


def check_with_pip(pythons: Sequence[str], platforms: Sequence[str], folder: Path) -> list[str]:
    """Print the result of `pip install --dry-run` for every target, and return the failures."""
    failures = []
    print(f"\n{'python':8}{'platform':15}{'part':12}  pip install --dry-run")
    for python in pythons:
        path = interpreter(python)
        if path is None:
            print(f"{python:8}no such interpreter here")
            continue
        venv = folder / f"pip-{python}"
        subprocess.run([path, "-m", "venv", venv], check=True)
        native = f"{sys.platform}-{os.uname().machine}".replace("darwin", "macos")
        native = native.replace("aarch64", "arm64")
        for platform in platforms:
            for part, extras in PARTS.items():
                elsewhere = platform.split("-")[0] != native.split("-")[0]
                if platform != native and (part == "bench" or (elsewhere and part != "theory")):
                    continue
                command = [str(venv / "bin" / "pip"), "install", "--dry-run", "--ignore-installed"]
                command += ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
                command += ["--index-url", INDEX, "--constraint", "constraints.txt"]
                if platform != native:
                    command += [w for tag in PLATFORMS[platform][1] for w in ("--platform", tag)]
                    command += ["--python-version", python, "--implementation", "cp"]
                    abi = f"cp{python.replace('.', '')}"
                    command += ["--abi", abi, "--abi", "abi3", "--abi", "none"]
                    command += ["--target", str(folder / "target")]
                run = subprocess.run(
                    command + requirements(extras),
                    cwd=ROOT,
                    env=clean_environment(),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                last = run.stderr.strip().splitlines()[-1:] if run.returncode else ["resolves"]
                print(f"{python:8}{platform:15}{part:12}  {' '.join(last)}", flush=True)
                failures += last if run.returncode else []
    return failures


def requirements(extras: tuple[str, ...]) -> list[str]:
    """Return the project's requirements with those of some extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return project["dependencies"] + [r for extra in extras for r in optional[extra]]
