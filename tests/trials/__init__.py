"""Trials of minutes or hours, each run as `python -m tests.trials.<name>`."""
