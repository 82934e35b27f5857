"""Tests of `empirical`."""
