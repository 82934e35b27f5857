"""Images of any kind: identified, opened as 8 bits, with notes on every change."""
