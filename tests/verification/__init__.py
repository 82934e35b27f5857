"""Verifications of the numbers in README.md and docs, apart from the tests.

python -m tests.verification --list | NAME [NAME ...] | --all | --under SECONDS
python -m tests.verification --numbers
python -m tests.verification.tables [--write]

Each verification is a file in `tests/verification/checks`, found without a list. Its docstring says
how it measures, and it has

- `CLAIMS`: the exact sentences of the documents that it verifies (a test finds them there);
- `EXPECTED`: name -> expected value with its tolerance (`tests.verification.expectations`);
- `SECONDS`, `MEMORY` (GB), and `NEEDS` where two cores are not enough: "GPU", "network",
  "idle machine";
- `measure(...)`: name -> measured value; its keyword parameters are options of the command line.

The numbers of which only a log entry tells, because they cost too much or a machine is gone, are in
`tests.verification.recorded`. Tables of the documents between markers are written by
`tests.verification.tables`.
"""
