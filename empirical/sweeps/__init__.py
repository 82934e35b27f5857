"""Sweeps of chains: the product of settings as independent chains, on many workers.

`grid` reads which chains there are, `run` leads, `local` and `cluster` have workers, `work` is what
a worker does, `status` tells how far a sweep is.
"""
