"""report.html: one file that opens from disk, without a network, and keeps names inert."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geneb_jax import durable_files
from geneb_jax.analysis import Panel, RunScores, build_panel
from geneb_jax.benchmark import Suite
from geneb_jax.report.boards import boards_of, size_text
from geneb_jax.results import ScoreRow

__all__ = ["REPORT_FILE", "render_page", "write_report"]

REPORT_FILE = "report.html"


def write_report(
    out: Path,
    *,
    suite: Suite,
    scores: Sequence[ScoreRow],
    run: Mapping[str, Any],
    published: bool = True,
) -> Path:
    """Write ``out/report.html`` for one run.

    The bytes depend on the arguments and this version alone.

    Args:
        out: The run's output folder.
        suite: Its suite, whole or restricted to the chosen tasks.
        scores: Its rows of scores.csv.
        run: Its run.json.
        published: Whether to show the published models beside the run's; they never stand beside a
            simulated suite.

    Returns:
        The path of the report.

    Raises:
        DataError: if the rows contradict themselves or the suite.
        OutputError: if the folder cannot be written.
    """
    panel = build_panel([RunScores(suite, scores, run)], published=published)
    path = out / REPORT_FILE
    durable_files.write_text(path, render_page(panel, run))
    return path


def render_page(panel: Panel, run: Mapping[str, Any]) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("geneb_jax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = _score
    environment.filters["size"] = size_text
    environment.filters["shade"] = _shade
    loader = environment.loader
    if loader is None:
        raise RuntimeError("the environment has no loader")
    script = loader.get_source(environment, "page.js.jinja")[0]
    style = loader.get_source(environment, "page.css.jinja")[0]
    # The policy names the one script by its hash: a script that slipped in would not run.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("page.html.jinja").render(
        suite=panel.suite,
        notices=panel.notices,
        boards=boards_of(panel),
        published=panel.published,
        versions=_versions(run),
        script=Markup(script),  # noqa: S704 (our own file, no data in it)
        style=Markup(style),  # noqa: S704
        script_hash=digest,
    )


def _versions(run: Mapping[str, Any]) -> dict[str, str]:
    versions = run.get("versions", {})
    if not isinstance(versions, Mapping):
        return {}
    return {str(name): str(value) for name, value in versions.items()}


def _score(value: float | None, digits: int = 3) -> str:
    return "\u2013" if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def _shade(value: float | None) -> str:
    """CSS class of a heatmap cell: eleven steps from 0 (MCC <= 0) to 10 (MCC = 1)."""
    return "h-none" if value is None else f"h{min(max(int(value * 10 + 0.5), 0), 10)}"
