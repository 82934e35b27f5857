"""``qtm report``, ``qtm demo``, ``qtm figures``.

Everything heavy is imported inside the command that needs it.
"""

import typer

from figures.commands import gallery, report

app = typer.Typer()
app.add_typer(report.app)
app.add_typer(gallery.app)
