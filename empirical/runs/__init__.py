"""Runs on disk. Nothing here needs torch: fits and figures import no more of this package."""
