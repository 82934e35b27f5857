"""``qtm fit``, ``qtm forecast``, ``qtm predict``, ``qtm select``, ``qtm derive``.

Each command imports its heavy dependencies itself.
"""

import typer

from analysis.commands import derive, fits, forecast, predict, select

app = typer.Typer()
app.add_typer(fits.app)
app.add_typer(forecast.app)
app.add_typer(predict.app)
app.add_typer(select.app)
app.add_typer(derive.app)
