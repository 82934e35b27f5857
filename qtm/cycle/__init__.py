"""Life cycles, the loop over generations, and where it ends.

`lifecycle` is that of one population, `family_cycle` that of prompt families, `prompt_cycle` that
of prompts with mean vectors and covariances, `family` how guidance acts on families; `evolution`
repeats a cycle, `equilibrium` finds its fixed point. `means` accumulates measured responses of a
mean.
"""
