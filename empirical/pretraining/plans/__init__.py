"""Plans of embedded models: each file here is one, with a function that reads its data.

A plan is one file with a function ``plan(...)`` that returns an `empirical.pretraining.plan.Plan`.
"""
