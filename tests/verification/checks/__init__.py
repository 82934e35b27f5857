"""Verifications, one file each; see `tests.verification`."""
