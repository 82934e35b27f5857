"""``qtm fit``, ``qtm forecast``, ``qtm derive``.

Each command imports its heavy dependencies itself.
"""

import typer

from analysis.commands import derive, fits, forecast

app = typer.Typer()
app.add_typer(fits.app)
app.add_typer(forecast.app)
app.add_typer(derive.app)
