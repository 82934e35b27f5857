"""Benchmarks measure compiled programs as users get them."""

import os

import jax

# Tests compile in haste, and only once, because compiling is what takes their time.
jax.config.update("jax_disable_most_optimizations", False)
jax.config.update("jax_enable_compilation_cache", False)
os.environ["XLA_FLAGS"] = os.environ["XLA_FLAGS"].replace("--xla_cpu_use_fusion_emitters=false", "")
