"""Read report.html back: its tags, its words, the numbers it carries, the files in its links."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["Page", "linked_files", "read"]

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether tags close in order.

    ``template`` is the text of the numbers that the page carries, which nobody sees.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.template = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open[-1:] == ["template"]:
            self.template += data
        else:
            self.words.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def linked_files(page: Page) -> dict[str, bytes]:
    """File name -> content of every download that the page holds in a link."""
    return {
        a["download"]: base64.b64decode(a["href"].split(",", 1)[1])
        for a in page.attributes("a")
        if "download" in a
    }
