"""Predicted paths, held-out data, forecasts, synthetic chains."""
