"""What the pages show is what the program takes; what they link to is there."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import tomllib

import pytest

from geneb_jax.runs.request import RunRequest
from tests.docs.pages import PAGES, ROOT, blocks_of, commands_of, refusal

_LANGUAGES = {"sh", "console", "python", "pycon", "toml", "text", "yaml"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_taken(page: str) -> None:
    commands = commands_of((ROOT / page).read_text(encoding="utf-8"))
    refused = {line: why for line in commands if (why := refusal(line)) is not None}
    assert not refused


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_a_page_parse(page: str) -> None:
    for block in blocks_of(page):
        assert block.language in _LANGUAGES, f"{block.name}: {block.language or 'no'} language"
        if block.language == "python":
            ast.parse(block.text, block.name)
        if block.language == "pycon":
            assert doctest.DocTestParser().get_examples(block.text, block.name)
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "sh":
            text = re.sub(r"\.\.\.|\[|\]", "", block.text)
            subprocess.run(["bash", "-n", "-c", text], check=True, timeout=20)
        for reason in (block.not_run, block.in_the_sweep):
            assert reason is None or len(reason) > 10, f"{block.name}: say why it does not run"


def test_another_option_or_verb_would_be_noticed() -> None:
    text = "`geneb-jax run --no-such-option` `geneb-jax walk` `geneb-jax list probes`\n"
    text += "```sh\ngeneb-jax embed -m kmer-4 --exprot x.npz\n```\n"
    refused = [line for line in commands_of(text) if refusal(line) is not None]
    assert len(commands_of(text)) == 4
    assert [line.split()[1] for line in refused] == ["run", "walk", "embed"]


def test_the_pages_have_commands() -> None:
    found = [len(commands_of((ROOT / page).read_text(encoding="utf-8"))) for page in PAGES]
    assert sum(found) > 150, "the pattern that finds commands has lost them"


def _anchors(page: str) -> set[str]:
    """Headings as the site and GitHub turn them into anchors."""
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    words = [re.sub(r"[^\w\s-]", "", one.lower()) for one in re.findall(r"^#+ (.*)$", text, re.M)]
    return {re.sub(r"\s+", "-", one.strip()) for one in words}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        # The reference is made from docstrings when the site is built.
        assert found.exists(), f"{page}: {target}"
        if anchor and found.suffix == ".md":
            assert anchor in _anchors(found.relative_to(ROOT).as_posix()), f"{page}: {target}"


def test_every_complaint_has_an_answer() -> None:
    page = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*(\d+)\. ", page, re.M) == [str(number) for number in range(1, 25)]


def test_every_key_of_a_run_file_is_on_its_page() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    keys = page.partition("| key |")[2].partition("\n\n")[0].splitlines()[2:]
    named = {name for line in keys for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(RunRequest.model_fields)


def test_every_row_of_the_table_of_features_is_answered() -> None:
    page = (ROOT / "docs/features.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (yes|no|in part)\b", page, re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 34))
