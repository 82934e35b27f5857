"""Figures and reports of finished runs, without torch."""

from analysis._backend import require_matplotlib

require_matplotlib()
