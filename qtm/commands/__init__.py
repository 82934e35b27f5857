"""The commands, one file a subject; everything heavy is imported inside the command that needs it.

Each file has an `app` of typer, which ``qtm.__main__`` puts together.
"""
