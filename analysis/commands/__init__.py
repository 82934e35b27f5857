"""``qtm fit``, ``qtm forecast``, ``qtm derive``.

Everything heavy is imported inside the command that needs it.
"""

import typer

from analysis.commands import derive, fits, forecast

app = typer.Typer()
app.add_typer(fits.app)
app.add_typer(forecast.app)
app.add_typer(derive.app)
