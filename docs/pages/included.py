"""Files of the repository that are pages too, and links between all pages."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Pages by the files that they show.
FILES = {
    "README.md": "index.md",
    "LOG.md": "log.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "empirical/models/digits/README.md": "models/digits.md",
    "empirical/models/emoji/README.md": "models/emoji.md",
    "empirical/embedded/files/emoji/README.md": "data/emoji.md",
}
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=[)\s])")


def pages() -> dict[str, str]:
    """Return the files as Markdown of the site, by the path of their page."""
    return {
        page: relinked(_nested((ROOT / file).read_text()), file) for file, page in FILES.items()
    }


def relinked(text: str, file: str) -> str:
    """Return the Markdown of a file of the repository with its relative links as on the site.

    Raises ValueError for a link to a file that the site does not have.
    """
    page = page_of(file)

    def target(match: re.Match[str]) -> str:
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(file), match.group(1)))
        path = posixpath.relpath(page_of(linked), posixpath.dirname(page) or ".")
        return path + (match.group(2) or "")

    return _LINK.sub(target, text)


def page_of(file: str) -> str:
    """Return the path on the site of a file of the repository; ValueError if it has none."""
    if file in FILES:
        return FILES[file]
    if not file.startswith("docs/"):
        raise ValueError(f"the site has no page for '{file}'")
    return file.removeprefix("docs/")


def _nested(text: str) -> str:
    """Indent nested lists by four blanks, as Python-Markdown needs."""
    return re.sub(r"^ {2}(?=- )", " " * 4, text, flags=re.MULTILINE)
