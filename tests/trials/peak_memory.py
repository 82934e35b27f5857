"""The peak memory of a command and of all processes below it, together.

python -m tests.trials.peak_memory [--limit GB] COMMAND ...

Every second it adds the proportional set sizes (PSS: shared pages are divided among those
who share them) of the whole tree, where the system tells them, else the resident sets, which count
shared pages once for each process. With `--limit` it exits with 1 where the peak is above.
"""

import argparse
import subprocess
import sys
import time

import psutil

INTERVAL = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, help="in GB (10^9 bytes)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    begin = time.perf_counter()
    process = subprocess.Popen(args.command)
    peak, at, parts, processor = 0, 0.0, [], {}
    while process.poll() is None:
        sizes = []
        for each in tree(process.pid):
            try:
                sizes.append(size(each))
                processor[each.pid] = sum(each.cpu_times()[:2])
            except psutil.Error:
                continue
        if sum(sizes) > peak:
            peak, at, parts = sum(sizes), time.perf_counter() - begin, sorted(sizes, reverse=True)
        time.sleep(INTERVAL)
    seconds = time.perf_counter() - begin
    largest = ", ".join(f"{part / 1e9:.2f}" for part in parts[:6])
    print(
        f"{' '.join(args.command)}: peak {peak / 1e9:.2f} GB after {at:.0f} of {seconds:.0f} s, "
        f"{len(parts)} processes ({largest} ...), {sum(processor.values()):.0f} s of processor"
    )
    return process.returncode or (args.limit is not None and peak > args.limit * 1e9)


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


if __name__ == "__main__":
    sys.exit(main())
