"""Python in a new process, and without the libraries of a chain."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHAIN_LIBRARIES = {
    "torch", "diffusers", "peft", "transformers", "safetensors", "mlxtend", "accelerate"
}  # fmt: skip
# As if the libraries of a chain were not installed.
BARE = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(CHAIN_LIBRARIES)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def run_without_chain_libraries(code: str, *arguments) -> subprocess.CompletedProcess:
    """Run indented code in a fresh Python that finds no library of a chain."""
    words = [sys.executable, "-c", BARE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
