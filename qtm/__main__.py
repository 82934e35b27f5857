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
from empirical.out_of_memory import is_out_of_memory, settings
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


def _of_memory(words: list[str]) -> str:
    """Say what takes less memory in the command that was given."""
    device = "the GPU or this machine has too little memory for it"
    match words[:1], words[1:2]:
        case ["chain"], ["run" | "sweep"] | []:
            fewer = (
                " (of a sweep, also fewer chains at a time: --workers)" if "sweep" in words else ""
            )
            return f"{device}: {settings()}{fewer}; a run goes on where it was"
        case ["demo"], _:
            return f"{device}: close other programs, and give the same command again"
        case ["measure"], _:
            return (
                f"{device}: measure fewer images or fewer names at a time, or take a smaller --side"
            )
        case ["sweep" | "simulate"], _:
            return f"{device}: sweep fewer parameter sets at a time, or smaller populations"
        case ["fit" | "forecast"], _:
            return f"{device}: take fewer runs or models at a time"
        case ["pretrain"], _:
            return f"{device}: close other programs, or take a machine with more"
    return f"{device}: close other programs, or take a machine with more"


def main() -> None:
    """Run the command line; mistakes end in one sentence and exit code 2."""
    libraries = ("TRANSFORMERS", "DIFFUSERS", "DATASETS", "HF_HUB")
    for quiet in (f"{library}_VERBOSITY" for library in libraries):
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
    except Exception as error:
        if is_out_of_memory(error):
            sentence = _of_memory(sys.argv[1:])
        elif isinstance(error, OSError):
            sentence = _sentence(error)
        else:
            raise
    else:
        return
    print(f"qtm: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
