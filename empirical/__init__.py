"""Chains of Diffusion: finetune a diffusion model on its own images, again and again, and measure.

Reading a finished run (`empirical.records`, `empirical.moments`) needs neither torch nor diffusers;
running one (`empirical.chain`) needs the extra ``chain``.
"""
