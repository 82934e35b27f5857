"""Make the embedded drawings from published archives.

    python -m empirical.pretraining.emoji ARCHIVES [OUT]

ARCHIVES holds the packages of `drawings.ARCHIVES`, as ``npm pack`` saves them. OUT, by default this
package's folder, gets the sheet and the table that `empirical.embedded` reads.
"""

import argparse
from pathlib import Path

from empirical.embedded import _drawings
from empirical.pretraining.emoji import drawings, splits


def main() -> None:
    """Read the archives and write the sheet and its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archives", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=_drawings.FOLDER)
    arguments = parser.parse_args()
    images, rows = splits.finetuned(list(drawings.read(arguments.archives)))
    _drawings.save(arguments.out, images, rows)


if __name__ == "__main__":
    main()
