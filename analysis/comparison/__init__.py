"""Fits of all models, contests between them, and which mechanism the data show."""
