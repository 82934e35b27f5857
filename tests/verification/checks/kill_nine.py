"""Kill a chain at random moments, for good (SIGKILL), until it ends; compare every file.

The last run of all is resumed until it ends, so that at least one chain has survived its kills.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.verification.documents import ROOT
from tests.verification.expectations import Claim, at_least, exactly

CLAIMS = (
    Claim("docs/questions.md", "run a chain; run the command again to resume it, bit for bit, or "
    "to lengthen it (generations)"),
    Claim("LOG.md", "It completed four times, the last time after all 30 kills; no file differs "
    "from those of the uninterrupted chain."),
)  # fmt: skip
EXPECTED = {
    "kills": at_least(1),
    "chains that ended": at_least(1),
    "files that differ": exactly(0),
}
SECONDS, MEMORY = 600, 1.0


def measure(kills: int = 30, seed: int = 0) -> dict[str, float]:
    from empirical import recipe
    from tests.helpers.tiny_chain import contents, tiny

    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        table, complete, cut = (Path(temporary) / name for name in ("r.toml", "whole", "cut"))
        table.write_text(recipe.dump(tiny(generations=3, finetune={"steps": 10})))
        began = time.monotonic()
        if _start(table, complete).wait() != 0:
            raise RuntimeError("the uninterrupted run failed")
        duration = time.monotonic() - began
        killed, ended, differing = 0, 0, 0
        # The run that was killed last is resumed until it ends.
        while killed < kills or cut.exists():
            process = _start(table, cut)
            try:
                last = killed >= kills
                process.wait(None if last else moments.uniform(0.5, 1.2) * duration)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                continue
            if process.returncode != 0:
                raise RuntimeError(f"a resumed run failed: {process.stderr.read().decode()}")
            ours, theirs = contents(cut), contents(complete)
            differing += sum(ours.get(n) != theirs.get(n) for n in {**ours, **theirs})
            ended += 1
            shutil.rmtree(cut)
    return {"kills": killed, "chains that ended": ended, "files that differ": differing}


def _start(table: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "qtm", "chain", "run", str(table), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
