"""Paths that a fit predicts, held-out data, forecasts, synthetic chains."""
