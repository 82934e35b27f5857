"""The chain: the loop over generations, the estimate of its cost, trackers."""
