"""Two processes on one chain give the chain of one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from empirical import recipe
from empirical.runs.record import Run
from tests.helpers.tiny_chain import tiny

CODE = """
import sys
from pathlib import Path
from empirical import recipe
from empirical.chain import loop
loop.run(recipe.read(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def free_port():
    with socket.socket() as open_socket:
        open_socket.bind(("127.0.0.1", 0))
        return str(open_socket.getsockname()[1])


@pytest.mark.slow
def test_two_processes_make_the_chain_of_one(tiny_run, tmp_path):
    """Same noise and prompts for every image; adapters agree to the rounding of sums."""
    (tmp_path / "r.toml").write_text(recipe.dump(tiny()))
    (tmp_path / "run.py").write_text(CODE)
    # As `accelerate launch` does for several GPUs of a machine.
    words = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_port", free_port(),
        str(tmp_path / "run.py"), str(tmp_path / "r.toml"), str(tmp_path / "run"),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run = Run(tmp_path / "run")
    (session,) = json.loads((run.folder / "provenance.json").read_text())["sessions"]
    assert session["processes"] == 2
    assert len(run.generations()) == 3
    for number in (1, 2):
        ours, alone = run.generation(number), tiny_run.generation(number)
        assert ours.metadata() == alone.metadata()
        assert ours.pedigree() == alone.pedigree()
        np.testing.assert_allclose(ours.loss().loss, alone.loss().loss, rtol=2e-3)
        apart = np.abs(ours.images().astype(int) - alone.images())
        # Grey levels of 255: most pixels are equal, and none has another meaning.
        assert (apart <= 2).mean() > 0.99
        assert apart.max() < 30
    columns = ["generation", "feature", "component", "n"]
    assert run.moments()[columns].equals(tiny_run.moments()[columns])
