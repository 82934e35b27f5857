"""``qtm chain``, ``qtm scan``, ``qtm measure``, ``qtm pretrain``.

Everything heavy is imported inside the command that needs it.
"""

import typer

from empirical.commands import chain, measure, pretrain, scan

app = typer.Typer()
app.add_typer(chain.app, name="chain")
app.add_typer(scan.app)
app.add_typer(measure.app)
app.add_typer(pretrain.app, name="pretrain")
