"""What the templates of the first screen are given: the table of what to use, devices, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from geneb_jax.analysis import FEWEST_TASKS, Leaderboard, Panel, Recommendation
from geneb_jax.report.answers import SMALL
from geneb_jax.report.result_tables import best_within, own_place
from geneb_jax.report.tables import Cell, Table
from geneb_jax.results import RunRecord

__all__ = ["Times", "Use", "devices_of", "links", "subtitle", "times_of", "uses_of"]

_PAPER = {"Paper": "https://arxiv.org/abs/2606.04525"}


@dataclass(frozen=True, slots=True)
class Use:
    """One line of "what to use": a category, its best model, how sure that is, the run's own."""

    category: str
    tasks: int
    best: str
    mcc: float
    sure: str
    sure_tip: str
    small: str
    small_mcc: float | None
    yours: str
    yours_mcc: float | None
    yours_rank: int | None


@dataclass(frozen=True, slots=True)
class Times:
    """When a run was written and what it cost: all that differs between runs of equal scores."""

    sentence: str
    table: Table


def uses_of(answers: Mapping[str, Recommendation]) -> list[Use]:
    """A line a recommendation."""
    return [_use(name, answer) for name, answer in answers.items()]


def _use(name: str, answer: Recommendation) -> Use:
    equal = [one.model.title for one in answer.candidates if one.equal and one is not answer.best]
    if len(answer.candidates) < 2:
        sure, tip = "alone", "There is no other trained model."
    elif answer.tasks < FEWEST_TASKS:
        sure, tip = "few tasks", "No interval over fewer than five tasks."
    elif equal:
        sure, tip = f"{len(equal)} tied", f"Not told from it: {', '.join(equal[:12])}"
    else:
        sure, tip = "clear", "Every other model is told to be worse."
    if answer.not_beaten:
        one = answer.not_beaten[0]
        word = "baseline ahead" if one.mcc > answer.best.mcc else "baseline tied"
        sure = word if sure in ("alone", "clear") else f"{sure}, {word}"
        tip = f"Not shown to beat {one.model.title} ({one.mcc:.2f}). {tip}"
    small = best_within(answer, SMALL)
    own, rank = own_place(answer)
    return Use(
        name,
        answer.tasks,
        answer.best.model.title,
        answer.best.mcc,
        sure,
        tip,
        small.model.title if small else "",
        small.mcc if small else None,
        own.model.title if own else "",
        own.mcc if own else None,
        rank if own else None,
    )


def subtitle(board: Leaderboard, panel: Panel) -> str:
    """Who is in it, on what: ``2 models of this run and 41 published, 10 tasks``."""
    own = sum(row.model.source == "user" for row in board.rows)
    others = len(board.rows) - own
    parts = [f"{own} {'model' if own == 1 else 'models'} of this run"] if own else []
    if others:
        kind = "published" if panel.published else "submitted"
        parts.append(f"{others} {kind}{'' if own else ' models'}")
    count = f"{board.tasks} {'task' if board.tasks == 1 else 'tasks'}"
    return f"{' and '.join(parts)}, {count}"


def devices_of(records: Sequence[RunRecord]) -> list[str]:
    """Kinds of devices of the runs, each once, and the kind of machine."""
    found: dict[str, None] = {}
    for record in records:
        kinds = dict.fromkeys(record.devices)
        for kind in kinds:
            count = record.devices.count(kind)
            name = kind.partition(": ")[2] or kind
            name = "CPU" if name == "cpu" else name
            found[f"{count} x {name}" if count > 1 else name] = None
    return list(found)


def links() -> dict[str, str]:
    """Name -> address of the paper, the data and whatever else the package names as its places."""
    try:
        stated = metadata.metadata("geneb-jax").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return dict(_PAPER)
    pairs = (line.partition(", ")[::2] for line in stated)
    found = {name: address for name, address in pairs if address.startswith("https://")}
    return _PAPER | found


def times_of(panel: Panel) -> Times | None:
    """Date and cost of the runs; None without a run.json."""
    if not panel.records:
        return None
    rows: list[tuple[Cell, ...]] = []
    embedding = probing = 0.0
    for model in panel.cube.models:
        done = model.embedding
        if model.source != "user" or (done is None and model.probing_seconds is None):
            continue
        embedding += done.seconds if done else 0.0
        probing += model.probing_seconds or 0.0
        speed = model.sequences_per_second
        rows.append(
            (
                model.label,
                done.embedded if done else None,
                done.reused if done else None,
                round(done.seconds, 2) if done else None,
                round(speed, 1) if speed else None,
                model.probing_seconds,
            )
        )
    written = max(record.written_utc for record in panel.records)
    parts = []
    if rows:
        count = f"{len(rows)} {'model' if len(rows) == 1 else 'models'}"
        parts.append(
            f"{count}: embedding {_seconds(embedding)}, probes {_seconds(probing)} of wall time"
        )
    parts.append(f"run of {written.replace('T', ' ').replace('Z', ' UTC')}")
    table = Table(
        "cost",
        "What each model cost",
        (
            "model_id",
            "embedded",
            "reused",
            "embedding_seconds",
            "sequences_per_second",
            "probing_seconds",
        ),
        tuple(rows),
        "Wall times on the run's own devices.",
        2,
    )
    return Times("; ".join(parts) + ".", table)


def _seconds(value: float) -> str:
    if value < 100:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"
