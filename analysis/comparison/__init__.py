"""Fits of all models, contests between them, and the mechanisms of a remedy."""
