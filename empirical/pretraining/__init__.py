"""Embedded models, trained from scratch: architecture, training, and the card that judges one."""
