"""The command line, ``qtm``: the only place that knows theory, chains, fits and figures.

Everything heavy is imported inside the command that needs it, so that ``qtm --help`` is quick and
a theorist needs no torch.
"""

import errno
import os
import sys
import warnings

import typer

from empirical.errors import UserError
from qtm.commands import chain, derive, figures, fits, forecast, measure, pretrain, study, theory

app = typer.Typer(
    help="Quantitative-trait models of diffusion models that are finetuned on their own images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(chain.app, name="chain")
app.add_typer(study.app)
app.add_typer(fits.app)
app.add_typer(forecast.app)
app.add_typer(figures.app)
app.add_typer(measure.app)
app.add_typer(theory.app)
app.add_typer(derive.app)
app.add_typer(pretrain.app, name="pretrain")


def _sentence(error: OSError) -> str:
    where = f" ('{error.filename}')" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full{where}: free some space and give the same command again; what was "
            f"finished is kept"
        )
    return f"{error.strerror or error}{where}"


def main() -> None:
    """Run the command line; mistakes end in one sentence and exit code 2."""
    for quiet in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(quiet, "error")
    # Pictures are written to files. A notebook leaves the name of its own backend, which this
    # process may lack, to all processes that it starts.
    os.environ["MPLBACKEND"] = "agg"
    warnings.formatwarning = lambda message, *_, **__: f"qtm: {message}\n"
    try:
        app()
    except UserError as error:
        sentence = str(error)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "diffusers", "peft", "transformers", "mlxtend"):
            raise
        sentence = (
            f"'{error.name}' is not installed: chains need the extra, "
            f"pip install 'diffusion-qtm[chain]'"
        )
    except OSError as error:
        sentence = _sentence(error)
    else:
        return
    print(f"qtm: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
