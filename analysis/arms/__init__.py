"""Runs read as the arms of an experiment: generations, noise levels, the design."""
