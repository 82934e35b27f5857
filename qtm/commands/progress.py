"""One progress bar for a whole job."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtm.commands.tables import duration


@contextmanager
def progress(what: str, total: int, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show one bar for a whole job, or a line every tenth of it where there is no terminal.

    `unit` is that of the work; where it is given, the rate is shown too.
    """
    if os.environ.get("RANK", "0") != "0":
        # Of several processes on one job the first one speaks.
        yield lambda count: None
        return
    try:
        with _bar(what, total, unit) as advance:
            yield advance
    except KeyboardInterrupt:
        print("\nqtm: interrupted; give the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
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
            *([_rate_column(unit)] if unit else []),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.update(task, advance=count)
        return
    done, started = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if 10 * before // total < 10 * done // total:
            passed = time.monotonic() - started
            left = f", {duration(passed * (total - done) / done)} left" if done < total else ""
            rate = f", {done / passed:,.0f} {unit}/s" if unit and passed else ""
            percent = 100 * done // total
            print(f"{what}: {percent} %{rate}{left}", file=sys.stderr, flush=True)

    yield advance


def _rate_column(unit: str) -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed else "")

    return Rate()
