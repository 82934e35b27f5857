"""Life cycles, the loop over generations, and where it ends.

`lifecycle` is that of one population, `family_cycle` that of prompt families, `family` how guidance
acts on them; `evolution` repeats a cycle, `equilibrium` finds its fixed point. `means` accumulates
measured responses of a mean.
"""
