"""Figures and reports of finished runs. Nothing here needs torch."""

from analysis._backend import require_matplotlib

require_matplotlib()
