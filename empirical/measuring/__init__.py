"""Measuring: traits of images, metrics of sets of images, and what they are taken from."""
