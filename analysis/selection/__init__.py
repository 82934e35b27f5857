"""Selection and transmission, measured: the breeder's equation from the draws of a chain.

A finetuned model is drawn twice with the same prompts and seeds, without and with guidance. So the
change of a generation has three parts, which nature mixes: inflow and curation (training set minus
previous generation), transmission (unguided images minus training set), selection (guided minus
unguided images).
"""
