"""The numerical tests as on other processors: how much of every tolerance is used.

python -m tests.trials.processors [FILE ...] [--profile old avx2 ...]

Each profile sets what the libraries read of a processor from the environment: the vector
instructions of torch (ATen, oneDNN, MKL), of XLA, OpenBLAS and NumPy, and the number of threads.
For every profile the files run once, in one process; the worst ratios of a difference to its
tolerance are printed, over all profiles. A ratio above 1 is a failure, one above 0.5 leaves little
room.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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
FILES = [
    f"tests/empirical/test_{name}.py"
    for name in (
        "adapters", "compiled", "extractors", "finetuning", "guidance_images", "guidance_steps",
        "kept", "learning", "metrics_of_sets", "moments", "processor", "sampling",
        "stable_diffusion_xl", "traits", "traits_of_pixels", "winograd",
    )
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--profile", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--rows", type=int, default=25)
    args = parser.parse_args()
    worst: dict[str, dict[str, float]] = {}
    failed = 0
    for profile in args.profile:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "worst.json"
            environment = {**os.environ, **PROFILES[profile], "PYTHONPATH": str(ROOT)}
            words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.trials.tolerances"]
            words += ["-p", "no:cacheprovider", *args.files]
            run = subprocess.run(
                words,
                cwd=ROOT,
                env={**environment, "TOLERANCES": str(report)},
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"{profile}: {(run.stdout.strip().splitlines() or [run.stderr])[-1]}", flush=True)
            for line in run.stdout.splitlines():
                if line.startswith(("FAILED", "ERROR")):
                    print(f"  {line}", flush=True)
            failed += run.returncode != 0
            if report.exists():
                for name, ratio in json.loads(report.read_text()).items():
                    worst.setdefault(name, {})[profile] = ratio
    print(f"{'':60}" + "".join(f"{profile:>10}" for profile in args.profile))
    for name, ratios in sorted(worst.items(), key=lambda pair: -max(pair[1].values()))[: args.rows]:
        cells = "".join(f"{ratios.get(profile, float('nan')):10.3f}" for profile in args.profile)
        print(f"{name.removeprefix('tests/')[-60:]:60}{cells}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
