"""The peak memory of a command and of all processes below it, together.

python -m tests.helpers.peak_memory [--limit GB] COMMAND ...

Every second it adds the proportional set sizes (PSS: shared pages are divided among those who share
them) of the tree of processes, where the system tells them, else the resident sets, which count
shared pages once for each process. With `--limit` it exits with 1 where the peak is above.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

INTERVAL = 1.0


@dataclass(frozen=True)
class Peak:
    """The greatest memory of a command, `after` so many seconds of all its `seconds`, with the
    `parts` of its processes in bytes then, and the time of processors that it used."""

    command: str
    returncode: int
    bytes: int
    after: float
    seconds: float
    parts: tuple[int, ...]
    processor: float

    def __str__(self) -> str:
        largest = ", ".join(f"{part / 1e9:.2f}" for part in self.parts[:6])
        return (
            f"{self.command}: peak {self.bytes / 1e9:.2f} GB after {self.after:.0f} of "
            f"{self.seconds:.0f} s, {len(self.parts)} processes ({largest} ...), "
            f"{self.processor:.0f} s of processor"
        )


def peak_memory(command: Sequence[str]) -> Peak:
    """Run a command until it ends."""
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    peak, after, parts, processor = 0, 0.0, [], {}
    while process.poll() is None:
        sizes = []
        for each in tree(process.pid):
            try:
                sizes.append(size(each))
                processor[each.pid] = sum(each.cpu_times()[:2])
            except psutil.Error:
                continue
        if sum(sizes) > peak:
            peak, after = sum(sizes), time.perf_counter() - begin
            parts = sorted(sizes, reverse=True)
        time.sleep(INTERVAL)
    seconds = time.perf_counter() - begin
    name, used = " ".join(command), sum(processor.values())
    return Peak(name, process.returncode, peak, after, seconds, tuple(parts), used)


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def size(process: psutil.Process) -> int:
    """Return bytes in memory, shared pages in proportion where the system tells it."""
    try:
        return process.memory_full_info().pss
    except (AttributeError, psutil.AccessDenied):
        return process.memory_info().rss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, help="in GB (10^9 bytes)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    peak = peak_memory(args.command)
    print(peak)
    return peak.returncode or (args.limit is not None and peak.bytes > args.limit * 1e9)


if __name__ == "__main__":
    sys.exit(main())
