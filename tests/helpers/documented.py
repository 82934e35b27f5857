"""Files that the documentation shows in full: code blocks with the title of a path."""

import re

from tests.helpers.package_copies import ROOT

_BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by their path."""
    blocks = _BLOCK.findall((ROOT / "docs" / page).read_text())
    assert len(dict(blocks)) == len(blocks), "a file is shown twice"
    return dict(blocks)
