"""The generative model of a chain: its weights, finetuning and sampling."""
