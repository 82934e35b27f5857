"""Verifications of the numbers in README.md and docs, apart from the tests.

python -m tests.verification --list | NAME [NAME ...] | --all | --under SECONDS
python -m tests.verification --numbers
python -m tests.verification.tables [--write]

Each verification is a file in `tests/verification/checks`, listed nowhere else. Its docstring
states the method, and it has

- `CLAIMS`: the exact sentences of the documents that it verifies (a test finds them there);
- `EXPECTED`: name -> expected value with its tolerance (`tests.verification.expectations`);
- `SECONDS`, `MEMORY` (GB), and `NEEDS` where two cores are not enough: "GPU", "network",
  "idle machine";
- `measure(...)`: name -> measured value; its keyword parameters are options of the command line.

Numbers that are too costly to measure again, or need another machine, are in
`tests.verification.recorded` with their entry of the log. `--numbers` prints every number of the
documents with its source; a test fails where one has none. Tables between markers are written by
`tests.verification.tables`.
"""
