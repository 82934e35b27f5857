"""Benchmarks measure compiled programs as users get them."""

import jax

# Tests turn it off, because compiling is what takes their time.
jax.config.update("jax_disable_most_optimizations", False)
