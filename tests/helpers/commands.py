"""The command line, called in this process."""

import sys


def call(monkeypatch, capsys, *words):
    """Give the command line words: exit code, what it printed, what it said of mistakes."""
    from qtm.__main__ import main

    monkeypatch.setattr(sys, "argv", ["qtm", *map(str, words)])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    streams = capsys.readouterr()
    return code, streams.out, streams.err
