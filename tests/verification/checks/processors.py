"""The numerical tests as on other processors: how much of every tolerance is used.

Each profile sets the environment from which libraries read the processor: the vector instructions
of torch (ATen, oneDNN, MKL), of XLA, OpenBLAS and NumPy, and the number of threads. For every
profile the files run once, in one process; the worst ratios of a difference to its tolerance are
printed, over all profiles. A ratio above 1 is a failure, one above 0.5 leaves little room.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.verification.documents import ROOT
from tests.verification.expectations import Claim, at_most, exactly

CLAIMS = (
    Claim("LOG.md", "| other processors | APG off by 1.3e-4 where 2e-5 was allowed | APG stable; "
    "tolerances of float32 follow from rounding |"),
)  # fmt: skip
EXPECTED = {"profiles with a failure": exactly(0), "largest ratio to a tolerance": at_most(1)}
SECONDS, MEMORY = 1800, 2.0
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
PROFILES = {
    "here": {"OMP_NUM_THREADS": "2"},
    "old": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": f"AVX2 FMA3 {AVX512}",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        "OMP_NUM_THREADS": "1",
    },
    "avx": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "AVX",
        "MKL_ENABLE_INSTRUCTIONS": "AVX",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "NPY_DISABLE_CPU_FEATURES": AVX512,
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX",
        "OMP_NUM_THREADS": "2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "OMP_NUM_THREADS": "1",
    },
    "no-onednn": {"TOLERANCES_MKLDNN": "0", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"},
}
FILES = tuple(
    f"tests/empirical/test_{name}.py"
    for name in (
        "adapters", "compiled", "extractors", "finetuning", "guidance_images", "guidance_steps",
        "kept", "learning", "metrics_of_sets", "moments", "processor", "sampling",
        "stable_diffusion_xl", "traits", "traits_of_pixels", "winograd",
    )
)  # fmt: skip


def measure(
    files: tuple[str, ...] = FILES, profile: tuple[str, ...] = tuple(PROFILES), rows: int = 25
) -> dict[str, float]:
    worst: dict[str, dict[str, float]] = {}
    failed = 0
    for name in profile:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "worst.json"
            environment = {**os.environ, **PROFILES[name], "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.helpers.tolerances"]
            command += ["-p", "no:cacheprovider", *files]
            run = subprocess.run(
                command,
                cwd=ROOT,
                env={**environment, "TOLERANCES": str(report)},
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"{name}: {(run.stdout.strip().splitlines() or [run.stderr])[-1]}", flush=True)
            for line in run.stdout.splitlines():
                if line.startswith(("FAILED", "ERROR")):
                    print(f"  {line}", flush=True)
            failed += run.returncode != 0
            if report.exists():
                for test, ratio in json.loads(report.read_text()).items():
                    worst.setdefault(test, {})[name] = ratio
    print(f"{'':60}" + "".join(f"{name:>10}" for name in profile))
    for test, ratios in sorted(worst.items(), key=lambda pair: -max(pair[1].values()))[:rows]:
        cells = "".join(f"{ratios.get(name, float('nan')):10.3f}" for name in profile)
        print(f"{test.removeprefix('tests/')[-60:]:60}{cells}")
    return {
        "profiles with a failure": failed,
        "largest ratio to a tolerance": max(max(ratios.values()) for ratios in worst.values()),
    }
