"""Make the embedded drawings from published archives.

    python -m empirical.pretraining.emoji ARCHIVES OUT

ARCHIVES holds the packages of `drawings.ARCHIVES`, as ``npm pack`` saves them. OUT gets the sheet
and the table that are in ``empirical/embedded/files/emoji``.
"""

import argparse
import sys
from pathlib import Path

from empirical import sheet
from empirical.errors import UserError
from empirical.pretraining.emoji import drawings, splits


def main(words: list[str] | None = None) -> None:
    """Read the archives and write the sheet and its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archives", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args(words)
    try:
        images, rows = splits.finetuned(list(drawings.read(arguments.archives)))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sheet.write(arguments.out, images.images, rows)


if __name__ == "__main__":
    main()
