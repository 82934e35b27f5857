"""One progress bar for a whole job."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show one bar for a whole job, or a line every tenth of it where there is no terminal."""
    if os.environ.get("RANK", "0") != "0":
        # Of several processes on one job the first one speaks.
        yield lambda count: None
        return
    try:
        with _bar(what, total) as advance:
            yield advance
    except KeyboardInterrupt:
        print("\nqtm: interrupted; give the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.update(task, advance=count)
        return
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if 10 * before // total < 10 * done // total:
            print(f"{what}: {100 * done // total} %", file=sys.stderr, flush=True)

    yield advance
