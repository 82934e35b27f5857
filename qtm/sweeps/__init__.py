"""Many populations: sets of parameters in memory, and sweeps over grids, streamed to disk.

`many` evolves sets of parameters in `blocks`. Of a sweep, `grid` cuts the grid into tasks, `task`
computes one, `store` keeps what is finished, and `run` leads them all, on this machine or on a Dask
cluster.
"""
