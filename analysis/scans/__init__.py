"""Analysis of a scan: one finetuned model, drawn at several CFG scales with the same prompts and
seeds.

Response curves against the scale, the neutral scale, and forecasts of chains at any scale from one
generation.
"""

from analysis.scans.summary import summarise

__all__ = ["summarise"]
