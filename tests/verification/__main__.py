"""Run verifications: claimed, measured, ok."""

import argparse
import os
import shutil
import sys

# Chains of small arrays: threads of the libraries would wait for one another.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.verification.registry import (
    Verification,
    converter,
    every_verification,
)


def main() -> int:
    known = every_verification()
    parser = argparse.ArgumentParser(
        prog="python -m tests.verification", description=__doc__, add_help=False
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="names, run times, memory and needs")
    parser.add_argument(
        "--all",
        action="store_true",
        help="all, which takes hours; without an NVIDIA GPU all that need none",
    )
    parser.add_argument("--under", type=float, metavar="SECONDS", help="those that take less")
    parser.add_argument("--numbers", action="store_true", help="every number and its source")
    parser.add_argument("-h", "--help", action="store_true")
    args, rest = parser.parse_known_args()
    if args.help or len(sys.argv) == 1:
        parser.print_help()
        for name in args.names:
            if name in known:
                print(f"\n{_help(known[name])}")
        return 0
    if args.list:
        print(_listed(known))
        return 0
    if args.numbers:
        from tests.verification import numbers

        print(numbers.report(known))
        return 0
    for name in args.names:
        if name not in known:
            return _refuse(f"there is no verification '{name}', --list prints their names")
    chosen = [known[name] for name in args.names]
    if args.all:
        chosen = [v for v in known.values() if "GPU" not in v.needs or shutil.which("nvidia-smi")]
    elif args.under is not None:
        chosen += [v for v in known.values() if v.seconds < args.under and not v.needs]
    return _run(chosen, rest)


def _run(chosen: list[Verification], rest: list[str]) -> int:
    """Run verifications one after the other; 1 if a claim does not hold, 2 for unknown options."""
    if rest and len(chosen) != 1:
        return _refuse(f"options are those of one verification: {' '.join(rest)}")
    failed = []
    for verification in chosen:
        parser = _options(verification)
        outcome = verification.run(**vars(parser.parse_args(rest)))
        print(f"\n{verification.name}: {verification.title}")
        for claim in verification.claims:
            print(f'  {claim.place}: "{claim.text}"')
        print(outcome.table())
        print(f"{outcome.seconds:.0f} s, expected {verification.seconds:g} s", flush=True)
        failed += [verification.name] if outcome.wrong() else []
    if failed:
        print(f"\nnot as claimed: {', '.join(failed)}")
    return bool(failed)


def _options(verification: Verification) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m tests.verification {verification.name}")
    for name, parameter in verification.options.items():
        flag, default = f"--{name.replace('_', '-')}", parameter.default
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default)
        elif isinstance(default, tuple):
            parser.add_argument(flag, nargs="+", type=converter(parameter), default=default)
        else:
            parser.add_argument(flag, type=converter(parameter), default=default)
    return parser


def _help(verification: Verification) -> str:
    return f"{verification.module.__doc__}\n{_options(verification).format_usage()}"


def _listed(known: dict[str, Verification]) -> str:
    width = max(map(len, known))
    rows = []
    for name, v in known.items():
        needs = f" (needs: {', '.join(v.needs)})" if v.needs else ""
        rows.append(f"{name:{width}}  {_time(v.seconds):>7}  {v.memory:4.1f} GB  {v.title}{needs}")
    return "\n".join(rows)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
