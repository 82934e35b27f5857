"""Tests of `qtm`."""
