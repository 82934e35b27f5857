"""The command line, ``qtm``: the commands of every package that registers some.

A package registers a `typer.Typer` as an entry point of the group ``qtm.commands``. Everything
heavy is imported inside the command that needs it, so that ``qtm --help`` is quick and a theorist
needs no torch.
"""

import errno
import os
import sys
import warnings
from importlib.metadata import entry_points
from typing import Any

import typer
import typer.core

GROUP = "qtm.commands"
_MEMORY = "close other programs, or use a machine with more"


class _Commands(typer.core.TyperGroup):
    """All commands; an interruption ends each with one sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Not left to typer, which would call the command aborted.
            _end("interrupted; run the same command again to resume", 130)


def command_line() -> typer.Typer:
    """Return the command line with the commands of all installed packages.

    A package whose commands cannot be loaded is skipped with a warning.
    """
    app = typer.Typer(
        cls=_Commands,
        help="Quantitative-trait models of diffusion models that are finetuned on their own "
        "images.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.value, entry.name)):
        try:
            app.add_typer(entry.load())
        except Exception as error:
            warnings.warn(f"the commands '{entry.value}' cannot be loaded: {error}", stacklevel=2)
    return app


def quieten() -> None:
    """Set the environment that makes libraries quiet, and progress bars lines without a terminal.

    Libraries read it when they are imported.
    """
    for library in ("TRANSFORMERS", "DIFFUSERS", "DATASETS", "HF_HUB"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    # Pictures are written to files. A notebook passes the name of its backend, which this process
    # may lack, on to all processes that it starts.
    os.environ["MPLBACKEND"] = "agg"
    # Defaults of tqdm. Tasks of less than a second, and mistakes, need no bar; of several processes
    # on one job only the first reports.
    os.environ.setdefault("TQDM_DELAY", "1")
    if os.environ.get("RANK", "0") != "0":
        os.environ.setdefault("TQDM_DISABLE", "1")
    if not sys.stderr.isatty():
        line = "{desc}: {percentage:.0f} %, {elapsed} passed, {remaining} left{postfix}\n"
        os.environ.setdefault("TQDM_BAR_FORMAT", line)
        os.environ.setdefault("TQDM_MININTERVAL", "60")
        os.environ.setdefault("TQDM_MAXINTERVAL", "60")


def main() -> None:
    """Run the command line; mistakes end in one sentence and exit code 2."""
    quieten()
    warnings.formatwarning = lambda message, *_, **__: f"qtm: {message}\n"
    app = command_line()
    try:
        app()
    except Exception as error:
        sentence = _sentence(error, app)
        if sentence is None:
            raise
        _end(sentence, 2)


def _end(sentence: str, code: int) -> None:
    print(f"qtm: {sentence}", file=sys.stderr)
    sys.exit(code)


def _sentence(error: Exception, app: typer.Typer) -> str | None:
    """Return the sentence for an error, or None for a fault of the program."""
    if getattr(error, "exit_code", None) == 2:
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        if error.name not in ("torch", "diffusers", "peft", "transformers", "mlxtend"):
            return None
        return (
            f"'{error.name}' is not installed: chains need the extra, "
            f"pip install 'diffusion-qtm[chain]'"
        )
    if _is_out_of_memory(error):
        hint = getattr(_callback(app, sys.argv[1:]), "out_of_memory", _MEMORY)
        return f"the GPU or this machine has too little memory: {hint}"
    if isinstance(error, OSError):
        return _system_sentence(error)
    return None


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came of, is Python's, NumPy's or JAX's for memory."""
    if error is None:
        return False
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return True
    return _is_out_of_memory(error.__cause__ or error.__context__)


def _system_sentence(error: OSError) -> str:
    where = f" ('{error.filename}')" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full{where}: free some space and run the same command again to resume; "
            f"finished work is kept"
        )
    return f"{error.strerror or error}{where}"


def _callback(app: typer.Typer, words: list[str]) -> Any:
    """Return the function of the command line `words`; its `out_of_memory` may name a remedy."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
    return command.callback


if __name__ == "__main__":
    main()
