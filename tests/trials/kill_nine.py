"""Kill a chain at random moments, for good (SIGKILL), until it gets through; compare every file.

python -m tests.trials.kill_nine [--kills 30] [--seed 0]
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

from empirical import recipe  # noqa: E402
from tests.helpers.tiny_chain import contents, tiny  # noqa: E402


def start(table: Path, out: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "qtm", "chain", "run", str(table), "--out", str(out)]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--kills", type=int, default=30)
    words.add_argument("--seed", type=int, default=0)
    asked = words.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as temporary:
        table, whole, cut = (Path(temporary) / name for name in ("r.toml", "whole", "cut"))
        table.write_text(recipe.dump(tiny(generations=3, finetune={"steps": 10})))
        began = time.monotonic()
        if start(table, whole).wait() != 0:
            sys.exit("the uninterrupted run failed")
        takes = time.monotonic() - began
        kills, runs, differing = 0, 0, []
        # The run that was killed last is resumed until it ends.
        while kills < asked.kills or cut.exists():
            process = start(table, cut)
            try:
                last = kills >= asked.kills
                process.wait(None if last else moments.uniform(0.5, 1.2) * takes)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                continue
            if process.returncode != 0:
                sys.exit(f"a resumed run failed: {process.stderr.read().decode()}")
            ours, theirs = contents(cut), contents(whole)
            differing += [n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n)]
            runs += 1
            shutil.rmtree(cut)
        print(
            f"runs of {takes:.1f} s: {kills} kills, {runs} runs got through in between, "
            f"{len(differing)} files differ {differing[:3]}"
        )
        sys.exit(bool(differing) or runs == 0)


if __name__ == "__main__":
    main()
