"""What the page's templates call: links that need no other file, digits, names, tooltips."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geneb_jax.analysis import Leaderboard
from geneb_jax.report.boards import row_decimals, size_text
from geneb_jax.report.figure_standing import board_table
from geneb_jax.report.svg import short_name
from geneb_jax.report.tables import Table
from geneb_jax.results import ModelFacts, csv_text

__all__ = ["asset", "page_environment"]

#: Columns of tables that hold labels of models; the page shows names people know in their place.
_LABEL_COLUMNS = frozenset(
    {
        "model_id",
        "baseline",
        "model_a",
        "model_b",
        "smaller",
        "larger",
        "leader",
        "moves_most",
    }
)
_SOURCES = {
    "user": "this run",
    "published": "paper",
    "live": "later entry",
    "submission": "submission",
}


def page_environment(board: Leaderboard, models: Sequence[ModelFacts]) -> Environment:
    """The templates' environment: everything they are given is text, and is escaped.

    Args:
        board: The first leaderboard: the page's panels are about its models, by position.
        models: Every model that a table may name by its label.
    """
    environment = Environment(
        loader=PackageLoader("geneb_jax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Tables of layers go by the model's name, all others by a label.
    titles = {model.name: model.display for model in models}
    titles |= {model.label: model.title for model in models}
    places = {row.model.label: k for k, row in enumerate(board.rows)}
    named: dict[str, int | None] = {}
    for k, row in enumerate(board.rows):
        # A name of two models leads to neither.
        named[row.model.title] = None if row.model.title in named else k

    def in_names(words: str, column: str = "model_id") -> str:
        return titles.get(words, words) if column in _LABEL_COLUMNS else words

    environment.filters |= {
        "score": _score,
        "size": size_text,
        "short": short_name,
        "whole_words": _whole_words,
        "tip": _tip,
        "data_uri": _csv_uri,
        "svg_uri": _svg_uri,
        "board_uri": lambda one: _csv_uri(board_table(one)),
        "decimals": row_decimals,
        "in_names": in_names,
        "place_of": named.get,
        "place_of_label": places.get,
        "source_name": lambda source: _SOURCES.get(source, source),
    }
    return environment


def asset(environment: Environment, name: str, **parts: str) -> Markup:
    """One of our own files, without data in it, to be placed in the page as it is.

    ``parts`` are further such files, each in the place of ``{{ its name }}``.
    """
    if environment.loader is None:
        raise RuntimeError("the environment has no loader")
    text = environment.loader.get_source(environment, name)[0]
    for part, file in parts.items():
        inner = environment.loader.get_source(environment, file)[0]
        text = text.replace("{{ " + part + " }}", inner)
    return Markup(text)  # noqa: S704


def _score(value: float | None, digits: int = 3) -> str:
    return "\u2013" if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def _whole_words(words: str, longest: int) -> str:
    """The first words of a sentence that does not fit its line."""
    return textwrap.shorten(words, longest, placeholder="\u2026")


def _tip(name: str | None, longest: int) -> Markup | str:
    """The whole of a name that is shown shortened, as a ``title`` attribute."""
    if name is None or len(name) <= longest:
        return ""
    return Markup(' title="{}"').format(name)


def _csv_uri(table: Table) -> str:
    """A table as a link that needs no other file."""
    return _uri("text/csv", csv_text(table.columns, table.rows))


def _svg_uri(svg: Markup) -> str:
    return _uri("image/svg+xml", str(svg) + "\n")


def _uri(kind: str, content: str) -> str:
    return f"data:{kind};base64," + base64.b64encode(content.encode("utf-8")).decode("ascii")
