"""Hooks of mkdocs: add generated pages, and make links of the repository those of the site."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pages import derivations, gallery, included, recipe, reference, tutorial

from qtm.__main__ import quieten

_WITH_LINKS_OF_THE_SITE = ("recipe.md", "derivations.md", "gallery.md", *included.FILES.values())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that are made from the code."""
    quieten()
    content: dict[str, str | bytes] = {
        "recipe.md": recipe.page(),
        "derivations.md": derivations.page(),
        "gallery.md": gallery.page(),
        **gallery.pictures(),
        **included.pages(),
        **reference.pages(),
        **tutorial.pages(Path(config.docs_dir) / tutorial.FOLDER),
    }
    for path, text in content.items():
        written = files.get_file_from_path(path)
        if written is not None:
            files.remove(written)
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make relative links of a written page those of the site."""
    path = page.file.src_uri
    if path in _WITH_LINKS_OF_THE_SITE or path.startswith(f"{reference.FOLDER}/"):
        return markdown
    return included.relinked(markdown, f"docs/{path}")
