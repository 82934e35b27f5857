"""The embedded model `digits`: its data, its classifier, and how both were made."""
