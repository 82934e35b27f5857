"""Kill a chain at random moments, for good (SIGKILL), until it gets through; compare every file.

python tests/trials/kill_nine.py [--kills 30] [--seed 0]
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from tiny_chain import contents, tiny  # noqa: E402

from empirical import recipe  # noqa: E402


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
        kills, ends = 0, 0
        for _ in range(asked.kills):
            process = start(table, cut)
            try:
                process.wait(moments.uniform(0.3, 1.0) * takes)
                ends += 1
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
        process = start(table, cut)
        if process.wait() != 0:
            sys.exit(f"the resumed run failed: {process.stderr.read().decode()}")
        ours, theirs = contents(cut), contents(whole)
        differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        print(
            f"a run of {takes:.1f} s, killed {kills} times, left alone {ends} times: "
            f"{len(theirs)} files, {len(differing)} differ {differing[:3]}"
        )
        sys.exit(bool(differing))


if __name__ == "__main__":
    main()
