"""Whether the pinned releases install on every supported machine, and how much is downloaded.

python -m tests.trials.install_check [--python 3.12 ...] [--platform macos-arm64 ...] [--pip]

For each Python, platform and set of extras, uv resolves pyproject.toml under constraints.txt as
on that machine (environment markers and wheel tags are the target's, not those of this one),
from PyPI alone, wheels only, without any local configuration. Metadata is read, no wheel is
downloaded. Needs access to the index, and uv, which is fetched into a temporary folder if absent.

`--pip` then repeats it with pip: natively by every interpreter of those versions that is found
here, and with `--platform`. Pip evaluates the markers of dependencies on the running machine, so
that the benchmarks are left out elsewhere, and across operating systems all but the theory: on
Linux torch asks for CUDA.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

from tests.helpers.interpreters import interpreter  # noqa: E402

INDEX = "https://pypi.org/simple"
PYTHONS = ("3.11", "3.12", "3.13")
# Our name of a platform: uv's name, and pip's tags from the newest to the oldest.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=PYTHONS, choices=PYTHONS)
    parser.add_argument("--platform", nargs="+", default=list(PLATFORMS), choices=PLATFORMS)
    parser.add_argument("--pip", action="store_true")
    args = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory(prefix="qtm-install-") as folder:
        uv = shutil.which("uv") or fetch_uv(Path(folder))
        print(f"{'python':8}{'platform':15}{'part':12}{'packages':>9}{'MB':>7}  result")
        for python in args.python:
            for platform in args.platform:
                for part, extras in PARTS.items():
                    packages, size, error = resolve(uv, python, platform, extras, Path(folder))
                    print(
                        f"{python:8}{platform:15}{part:12}{packages:9}{size / 1e6:7.0f}  "
                        f"{error or 'wheels for all'}",
                        flush=True,
                    )
                    failures += [error] if error else []
        if args.pip:
            failures += check_with_pip(args.python, args.platform, Path(folder))
    return bool(failures)


def clean_environment() -> dict[str, str]:
    """Return the environment without what configures pip or uv, but with certificates."""
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
    words = [uv, "pip", "compile", "pyproject.toml", "--no-config", "--quiet"]
    words += ["--constraints", "constraints.txt", "--only-binary", ":all:"]
    words += ["--default-index", INDEX, "--no-header", "--output-file", str(lock)]
    words += ["--python-version", python, "--python-platform", PLATFORMS[platform][0]]
    words += [word for extra in extras for word in ("--extra", extra)]
    run = subprocess.run(
        words, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        return 0, 0, " ".join(lines[:2]) or f"uv exited with {run.returncode}"
    packages = tomllib.loads(lock.read_text())["packages"]
    size = sum(min(wheel["size"] for wheel in package["wheels"]) for package in packages)
    return len(packages), size, ""


def check_with_pip(pythons: list[str], platforms: list[str], folder: Path) -> list[str]:
    """Print what `pip install --dry-run` says of every target, and return the failures."""
    failures = []
    print(f"\n{'python':8}{'platform':15}{'part':12}  pip install --dry-run")
    for python in pythons:
        found = interpreter(python)
        if found is None:
            print(f"{python:8}no such interpreter here")
            continue
        venv = folder / f"pip-{python}"
        subprocess.run([found, "-m", "venv", venv], check=True)
        native = f"{sys.platform}-{os.uname().machine}".replace("darwin", "macos")
        native = native.replace("aarch64", "arm64")
        for platform in platforms:
            for part, extras in PARTS.items():
                elsewhere = platform.split("-")[0] != native.split("-")[0]
                if platform != native and (part == "bench" or (elsewhere and part != "theory")):
                    continue
                words = [str(venv / "bin" / "pip"), "install", "--dry-run", "--ignore-installed"]
                words += ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
                words += ["--index-url", INDEX, "--constraint", "constraints.txt"]
                if platform != native:
                    words += [w for tag in PLATFORMS[platform][1] for w in ("--platform", tag)]
                    words += ["--python-version", python, "--implementation", "cp"]
                    abi = f"cp{python.replace('.', '')}"
                    words += ["--abi", abi, "--abi", "abi3", "--abi", "none"]
                    words += ["--target", str(folder / "target")]
                run = subprocess.run(
                    words + requirements(extras),
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


if __name__ == "__main__":
    sys.exit(main())
