"""Pages of the documentation that are generated from the code.

Each module returns Markdown; `docs/hooks.py` gives it to mkdocs. None of them needs mkdocs.
"""
