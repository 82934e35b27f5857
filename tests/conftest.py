"""Shared by all tests: where the packages are, and which device JAX may use."""

import os
import sys
from pathlib import Path

# The folders tests/qtm and tests/analysis must not pass for the packages of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests compile many small programs and run each once: compiling is what takes the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
