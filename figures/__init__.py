"""Figures and reports of finished runs. Nothing here needs torch."""
