"""``qtm simulate``, ``qtm sweep``, ``qtm forms``, ``qtm results``.

Everything heavy is imported inside the command that needs it. The entry point `qtm.commands` of the
distribution names `app`.
"""

import typer

from qtm.commands import results, theory

app = typer.Typer()
app.add_typer(theory.app)
app.add_typer(results.app)
