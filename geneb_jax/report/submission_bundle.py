"""What a pull request to the benchmark needs besides the scores: an extractor and a model card.

A bundle is laid out as the benchmark's repository is, so that it can be copied into a checkout:
``submissions/<id>.json``, ``harness/extractors/<module>.py``, ``model_cards/<id>.md``. The
extractor loads the very embedding that was scored, and refuses another; the card has the facts that
the run knows, and says of the others that nobody stated them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from geneb_jax import durable_files
from geneb_jax.analysis import aggregate
from geneb_jax.analysis.published import cube_of_submissions
from geneb_jax.benchmark import Suite
from geneb_jax.errors import SubmissionError
from geneb_jax.results import (
    METRIC_NAMES,
    ModelFacts,
    ScoreRow,
    SubmissionMeta,
    read_submission,
    write_submission,
)

__all__ = ["Bundle", "write_bundle"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Fields of an identity that say how it was asked for, not what was loaded.
_ASKED = ("revision", "pooling", "layer", "batch_tokens")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a bundle, and the facts that its card could not state."""

    submission: Path
    extractor: Path
    card: Path
    unstated: tuple[str, ...]


def write_bundle(
    folder: Path,
    facts: ModelFacts,
    meta: SubmissionMeta,
    rows: Sequence[ScoreRow],
    suite: Suite,
    *,
    versions: Mapping[str, str],
    unverified: bool = False,
) -> Bundle:
    """Write the bundle of one model.

    Args:
        folder: Where to; the three files go to its subfolders.
        facts: What the run knows of the model.
        meta: What the submission says of it.
        rows: Rows of scores.csv.
        suite: The benchmark.
        versions: Package -> version of the run.
        unverified: See :func:`geneb_jax.results.build_submission`.

    Raises:
        SubmissionError: if the scores are no submission, or nothing is known of what made them.
        OutputError: if a file cannot be written.
    """
    identity = facts.identity
    if identity is None:
        raise SubmissionError(
            f"it is not known what made the scores of {facts.label}: there is nothing to extract",
            hint="bundle from the output folder of a run, with its records",
        )
    submission = write_submission(folder, facts.label, meta, rows, suite, unverified=unverified)
    stem = submission.stem
    module = _module_name(stem)
    card = _card_facts(facts, meta)
    common = {
        "facts": facts,
        "meta": meta,
        "identity": identity,
        "module": module,
        "class_name": _class_name(stem),
        "version": versions.get("geneb-jax", ""),
        "versions": dict(versions),
        "name": _load_name(facts),
        "revision": identity.revision if _COMMIT.fullmatch(identity.revision) else None,
        "made_of": {
            key: value
            for key, value in identity.as_dict().items()
            # A folder of the author's may be called otherwise elsewhere.
            if key not in _ASKED and not (key == "model_id" and identity.revision == "local")
        },
    }
    extractor = folder / "harness" / "extractors" / f"{module}.py"
    durable_files.write_text(extractor, _render("extractor.py.jinja", **common))
    path = folder / "model_cards" / f"{stem}.md"
    text = _render(
        "model_card.md.jinja",
        **common,
        card=card,
        means=_means(submission, suite),
        data=_data_counts(facts.label, rows),
        suite=suite,
    )
    durable_files.write_text(path, text)
    return Bundle(submission, extractor, path, tuple(name for name, value in card if not value))


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("geneb_jax.report", "."),
        autoescape=False,  # noqa: S701 - Python and Markdown; every value goes through a filter
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["literal"] = ascii
    environment.filters["line"] = _one_line
    return environment.get_template(template).render(**values)


def _one_line(value: object) -> str:
    """A text of somebody's as one line that ends neither a docstring nor a table's cell."""
    text = " ".join(str(value).split())
    return "".join(c if c.isprintable() and c not in '\\"`|<>' else " " for c in text)


def _load_name(facts: ModelFacts) -> str | None:
    """What ``load_model`` is given; None where the checkpoint is a folder of the author's."""
    identity = facts.identity
    local = identity is None or identity.revision == "local"
    return None if local else facts.name


def _module_name(stem: str) -> str:
    name = re.sub(r"\W", "_", stem.lower(), flags=re.ASCII).strip("_") or "model"
    return f"m_{name}" if name[0].isdigit() else name


def _class_name(stem: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words) + "Extractor"
    return f"M{name}" if name[0].isdigit() else name


def _card_facts(facts: ModelFacts, meta: SubmissionMeta) -> list[tuple[str, str]]:
    """(what, value) in the card's order; an empty value was stated by nobody."""
    has_none = facts.weights == "none"
    return [
        ("Parameters", f"{meta.params:,}" if meta.params else ("none" if has_none else "")),
        ("Where it is", meta.url),
        ("Architecture", facts.architecture),
        ("Tokenization", facts.tokenization),
        ("Pretraining data", meta.training_data),
        ("Length of an embedding", str(facts.width or "")),
        ("Submitted by", meta.submitted_by),
    ]


def _means(path: Path, suite: Suite) -> list[tuple[str, str, float, float]]:
    """(regime, metric, macro, micro) of the submission, by the report's own formulas."""
    found = []
    submission = read_submission(path, suite)
    for metric, name in METRIC_NAMES.items():
        means = aggregate(cube_of_submissions([submission], suite, metric))
        for place, regime in enumerate(suite.protocol.regimes):
            macro, micro = means.macro[0, place], means.micro[0, place]
            found.append((regime.name, name, float(macro), float(micro)))
    order = [regime.name for regime in suite.protocol.regimes]
    return sorted(found, key=lambda line: (order.index(line[0]), not np.isfinite(line[2])))


def _data_counts(label: str, rows: Sequence[ScoreRow]) -> dict[str, int]:
    """Standing -> number of tasks."""
    tasks = {row.task_id: row.data for row in rows if row.model_id == label and not row.failed}
    words = list(tasks.values())
    return {word or "not known": words.count(word) for word in dict.fromkeys(words)}
