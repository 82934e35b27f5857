"""Sweeps over grids of parameters: one dimension for each, replicates, streamed to disk.

`grid` cuts a grid into tasks, `task` computes one, `store` keeps what is finished, and `run` leads
them all, on this machine or on a Dask cluster.
"""

from qtm.sweeps.run import sweep

__all__ = ["sweep"]
