"""Chains, runs, pipelines and processes that several tests share."""
