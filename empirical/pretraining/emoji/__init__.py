"""The data set `emoji`: drawings of several artists with names, made from published archives."""
