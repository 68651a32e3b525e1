"""What the site needs beyond its folder: texts of the root, and no marks of blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
#: Files of the root -> their page.
_ROOT_TEXTS = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def _as_page(text: str) -> str:
    """Links of a text in the root, as its page has them."""
    for name, page in _ROOT_TEXTS.items():
        text = text.replace(f"]({name}", f"]({page}")
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\[([^\]]+)\]\((?:README|LICENSE)[^)]*\)", r"\1", text)


def on_files(files: Any, config: Any) -> Any:
    """Add the root's texts as pages."""
    for name, page in _ROOT_TEXTS.items():
        content = _as_page((ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links out of the folder become those of the pages; the marks of blocks are for the tests."""
    for name, page in _ROOT_TEXTS.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}")
    return re.sub(
        r"^ *<!-- (?:not run|in the sweep|exit code|prepared).*?-->\n",
        "",
        markdown,
        flags=re.M | re.S,
    )
