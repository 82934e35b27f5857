"""``qtm report``, ``qtm demo``, ``qtm figures``.

Each command imports its heavy dependencies itself.
"""

import typer

from figures.commands import gallery, report

app = typer.Typer()
app.add_typer(report.app)
app.add_typer(gallery.app)
