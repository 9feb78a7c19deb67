"""MkDocs' side: its files are the pages of ``handbook.pages``, its table of contents is that of ``handbook.nav``."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from handbook.nav import nav
from handbook.pages import all_pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put our pages in place of the files of docs/; what is no page there, pictures and schemas, stays."""
    pages = all_pages()
    kept = Files([each for each in files if not each.is_documentation_page()])
    for page in pages:
        kept.append(File.generated(config, page.path, content=page.text))
    config.nav = nav(pages)
    return kept
