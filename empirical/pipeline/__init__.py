"""Pipelines of diffusers: loading, conditioning, adapters, speed on processors."""
