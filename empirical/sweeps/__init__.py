"""Sweeps of chains: the product of settings as independent chains, on many workers.

`grid` reads the chains of a sweep, `run` leads it, `local` and `cluster` are pools of workers,
`work` holds the tasks of a worker, `status` reports progress.
"""
