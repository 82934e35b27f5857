"""The chain itself: the loop over generations, the estimate of its cost, trackers."""
