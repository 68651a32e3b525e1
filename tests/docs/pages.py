"""The pages as data: fenced blocks, code spans, links, and what a page says about running them.

A comment on the lines above a fence says what a reader need not see:

``<!-- not run: REASON -->``       it is parsed only (a GPU, a cluster, the hub, minutes)
``<!-- in the sweep: REASON -->``  it runs in ``make sweep``
``<!-- exit code 2 -->``           what the last command of the block leaves with
``<!-- prepared: PYTHON -->``      names that the block uses and the page has in words
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from geneb_jax.cli.main import command

__all__ = ["PAGES", "ROOT", "Block", "blocks_of", "commands_of", "refusal"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))
)
_COMMENT = r" *<!-- (?:not run|in the sweep|exit code|prepared).*?-->\n"
_FENCE = re.compile(
    rf"(?P<marks>(?:^{_COMMENT})*)^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^ *```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """One fence: ``marks`` are the comments above it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    in_the_sweep: str | None
    prepared: str
    exit_code: int

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def steps(self) -> list[tuple[str, str | None]]:
        """What a shell block types, and the output that it shows (None: it shows none)."""
        if self.language == "sh":
            lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
            return [(line, None) for line in lines if line.strip() and not line.startswith("#")]
        parts = re.split(r"^\$ ", re.sub(r"\\\n>? *", " ", self.text), flags=re.M)
        typed = [part.partition("\n") for part in parts if part.strip()]
        return [(line, shown) for line, _, shown in typed]


def _guess(text: str) -> str:
    return "sh" if re.match(r" *geneb-jax ", text) else "text"


def _mark(marks: str, name: str) -> str | None:
    found = re.search(rf"<!-- {name}:? (.*?) ?-->", marks, re.S)
    return found[1] if found else None


def blocks_of(page: str) -> list[Block]:
    """The fences of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = []
    for fence in _FENCE.finditer(text):
        marks, indent = fence["marks"], fence["indent"]
        prepared = re.search(r"<!-- prepared:\s*\n(.*?)-->", marks, re.S)
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, fence.start() + len(marks)) + 1,
                language=fence["language"].split(" ")[0] or _guess(fence["text"]),
                text=re.sub(rf"^{indent}", "", fence["text"], flags=re.M),
                not_run=_mark(marks, "not run"),
                in_the_sweep=_mark(marks, "in the sweep"),
                prepared=prepared[1] if prepared else "",
                exit_code=int(_mark(marks, "exit code") or 0),
            )
        )
    return blocks


def commands_of(text: str) -> list[str]:
    """What stands in code spans and shell blocks behind ``geneb-jax``, one command each."""
    text = re.sub(r"\\\n>?\s*", " ", text)
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside)]
    lines = [
        re.sub(r"^ *(\$ )?", "", line)
        for fence in re.findall(r"^ *```.*?\n(.*?)^ *```$", text, re.M | re.S)
        for line in fence.split("\n")
    ]
    return [line for line in (*spans, *lines) if line.startswith("geneb-jax ")]


def refusal(line: str) -> str | None:
    """What click says against a command; its files need not be there."""
    line = re.sub(r"\$\([^)]*\)", "VALUE", line)  # what a shell would put there
    line = re.split(r" (?:\||>|&&|2>)", line)[0].rstrip("&; ")
    if line.count("'") % 2:  # the end of a command that another one is told
        line = line.rstrip("'")
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
    context, current = click.Context(command), command
    while isinstance(current, click.Group) and words and not words[0].startswith("-"):
        found = current.get_command(context, words[0])
        if found is None:
            return f"no verb {words[0]}"
        current, words = found, words[1:]
        context = click.Context(current, parent=context)
    if isinstance(current, click.Group):
        help_only = all(word in ("-h", "--help", "--version") for word in words)
        return None if help_only else f"{line} goes on with no verb"
    try:
        current.make_context(current.name, words, parent=context.parent)
    except click.exceptions.Exit:  # --help
        return None
    except click.UsageError as error:
        message = error.format_message()
        # A page's files and folders are examples, and "..." stands for what the user adds.
        absent = "does not exist" in message or ("Missing" in message and "..." in line)
        return None if absent else message
    return None
