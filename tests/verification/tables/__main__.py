"""Compare the tables of all documents with what they are written from, or write them anew."""

import argparse
import sys

from tests.verification import documents
from tests.verification.tables import (
    differing,
    documents_with_tables,
    every_table,
    rewritten,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verification.tables")
    parser.description = __doc__
    parser.add_argument("--write", action="store_true", help="write the tables into the documents")
    args = parser.parse_args()
    contents, changed = every_table(), 0
    for place in documents_with_tables():
        lines = differing(place, contents)
        if args.write and lines:
            (documents.ROOT / place).write_text(rewritten(place, contents))
        for line in lines:
            print(f"{place}: {line}")
        changed += len(lines)
    return bool(changed) and not args.write


if __name__ == "__main__":
    sys.exit(main())
