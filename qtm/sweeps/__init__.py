"""Many populations: sets of parameters in memory, and sweeps over grids, streamed to disk.

`many` evolves sets of parameters in `blocks`. For a sweep, `grid` splits the grid into tasks,
`task` computes one, `store` holds the finished ones, and `run` leads them all, on this machine or
on a Dask cluster.
"""
