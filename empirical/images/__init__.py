"""Images of any kind: what a file holds, opened as 8 bits, with notes on what was changed."""
