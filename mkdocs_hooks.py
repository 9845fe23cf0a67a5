"""The site is the pages as they lie in the repository: links that leave `docs` lead there, pictures are copied in."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
_LINK = re.compile(r"(?P<image>!?)\[(?P<label>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)]*)?\)")
_PICTURES = (".svg", ".png")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Make the README the site's first page, and copy the pictures that pages show from outside `docs`."""
    files.append(File.generated(config, "index.md", content=_home((ROOT / "README.md").read_text(encoding="utf-8"))))
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for link in _LINK.finditer(page.read_text(encoding="utf-8")):
            path = _outside(page.relative_to(ROOT).parent.as_posix(), link["target"])
            if link["image"] and path and files.get_file_from_path(path) is None:
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Lead links that leave `docs` to what they name; those to nothing stay, for mkdocs to refuse."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def lead(link: re.Match[str]) -> str:
        path = _outside(folder, link["target"])
        if path is None:
            return link[0]
        anchor = link["anchor"] or ""
        if link["image"]:
            target = posixpath.relpath(path, posixpath.dirname(page.file.src_uri) or ".")
        else:
            target = f"{str(config.repo_url).rstrip('/')}/blob/main/{path}"
        return f"{link['image']}[{link['label']}]({target}{anchor})"

    return _LINK.sub(lead, markdown)


def _home(readme: str) -> str:
    """Write the README's links as a page in `docs` would have them."""
    return re.sub(r"\]\((?!\w+:)(docs/)?", lambda link: "](" if link[1] else "](../", readme)


def _outside(folder: str, target: str) -> str | None:
    """Give the path, from the repository's root, of a file outside `docs` that a link names; None for all others."""
    if "://" in target:
        return None
    path = posixpath.normpath(posixpath.join(folder, target))
    return None if path.startswith(("docs/", "..")) or not (ROOT / path).exists() else path
