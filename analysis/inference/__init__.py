"""Likelihood, its maximum, importance sampling and posteriors."""
