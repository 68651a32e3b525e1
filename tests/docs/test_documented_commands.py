"""Every command that a page shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from geneb_jax.cli.main import command

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/extending.md", "docs/faq.md", "docs/results.md")


def _commands(page: str) -> list[str]:
    """What stands in code spans and blocks behind ``geneb-jax``, one command each."""
    text = re.sub(r"\\\n\s*", " ", page)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    lines = [
        line for block in re.findall(r"```.*?\n(.*?)```", text, re.S) for line in block.split("\n")
    ]
    return [line for line in (*spans, *lines) if line.startswith("geneb-jax ")]


def _refusal(line: str) -> str | None:
    """What click says against it; files need not be there."""
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
    context, current = click.Context(command), command
    while isinstance(current, click.Group) and words and not words[0].startswith("-"):
        found = current.get_command(context, words[0])
        if found is None:
            return f"no verb {words[0]}"
        current, words = found, words[1:]
        context = click.Context(current, parent=context)
    if isinstance(current, click.Group):
        return None if not words else f"{line} goes on with no verb"
    try:
        current.make_context(current.name, words, parent=context.parent)
    except click.UsageError as error:
        message = error.format_message()
        # A page's files and folders are examples, and "..." stands for what the user adds.
        absent = "does not exist" in message or ("Missing" in message and "..." in line)
        return None if absent else message
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_taken(page: str) -> None:
    commands = _commands((ROOT / page).read_text(encoding="utf-8"))
    assert len(commands) >= 3
    refused = {line: why for line in commands if (why := _refusal(line)) is not None}
    assert not refused


def test_another_option_or_verb_would_be_noticed() -> None:
    text = "`geneb-jax run --no-such-option` `geneb-jax walk` `geneb-jax list probes`"
    refused = [line for line in _commands(text) if _refusal(line) is not None]
    assert refused == ["geneb-jax run --no-such-option", "geneb-jax walk"]


def test_every_complaint_has_an_answer() -> None:
    page = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*(\d+)\. ", page, re.M) == [str(number) for number in range(1, 25)]
