"""Embedded models, trained from scratch: architecture, training, evaluation and model card."""
